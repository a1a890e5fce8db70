import { readFileSync } from 'node:fs';
import { startPico } from '../../../../firmware-bridge/emulator/pico-board.js';
import { findQemu, spawnBoard } from '../../../../firmware-bridge/emulator/qemu-board.js';
import { openSerial, type Transport } from '../../../../firmware-bridge/link/index.js';
import type { Clock } from '../../../core/clock.js';
import { HildaError } from '../../../core/errors.js';
import type { BoardProfile } from '../board-profile.js';
import type { BoardBehind } from './faulty-port.js';

/** An emulated board behind a faulty port; `stop` ends its emulator. Throws DEVICE_FAILED where QEMU is missing. */
export async function emulatedBehind(
  emulator: NonNullable<BoardProfile['emulator']>,
  imagePath: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<BoardBehind & { stop(): Promise<void> }> {
  if (emulator.kind === 'qemu') return QemuBehind.start(emulator.machine, imagePath, clock, signal);
  return new PicoBehind(readFileSync(imagePath));
}

/** A process of QEMU with its UART on a pseudo-terminal, opened as the serial port of a board is. */
class QemuBehind implements BoardBehind {
  #running: Awaited<ReturnType<typeof spawnBoard>>;

  private constructor(
    running: Awaited<ReturnType<typeof spawnBoard>>,
    readonly spawn: () => ReturnType<typeof spawnBoard>,
    readonly clock: Clock,
  ) {
    this.#running = running;
  }

  static async start(
    machine: string,
    imagePath: string,
    clock: Clock,
    signal: AbortSignal,
  ): Promise<QemuBehind> {
    const qemu = findQemu();
    if (!qemu)
      throw new HildaError('DEVICE_FAILED', 'QEMU is not installed', {
        hint: 'Install qemu-system-arm (Debian: apt-get install qemu-system-arm).',
      });
    const spawn = () => spawnBoard(qemu, { machine, imagePath, signal });
    return new QemuBehind(await spawn(), spawn, clock);
  }

  open(): Promise<Transport> {
    return openSerial({ path: this.#running.path, baud: 115_200, clock: this.clock });
  }

  async reset(): Promise<void> {
    await this.stop();
    this.#running = await this.spawn();
  }

  async stop(): Promise<void> {
    const { child } = this.#running;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGKILL');
    await ended;
  }
}

/** The Pico in a thread; its flash keeps what it holds over resets. */
class PicoBehind implements BoardBehind {
  readonly #pico: ReturnType<typeof startPico>;

  constructor(image: Uint8Array) {
    this.#pico = startPico(image);
  }

  async open(): Promise<Transport> {
    return { ...this.#pico, close: async () => this.#pico.onBytes(() => {}) };
  }

  reset(): Promise<void> {
    return this.#pico.restart();
  }

  stop(): Promise<void> {
    return this.#pico.close();
  }
}
