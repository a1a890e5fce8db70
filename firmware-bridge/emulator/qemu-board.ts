import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { HildaError } from '../../daemon/core/errors.js';
import { guardedCommand, killGroup } from '../../daemon/core/guarded-command.js';
import { openSerial } from '../link/transports/serial-transport.js';
import type { Transport } from '../link/transports/transport.js';
import type { EmulatedBoard } from './pico-board.js';

export interface QemuOptions {
  readonly machine: string;
  readonly imagePath: string;
  /** Where the image lies in the machine's memory; 0 by default. */
  readonly loadAddress?: number;
  readonly signal: AbortSignal;
}

/** One instruction takes 2^7 ns of virtual time: more than one tick of the boards' clocks, so that none is lost. */
export const qemuInstructionNs = 128;

export const qemuProgram = 'qemu-system-arm';

/** Null when QEMU is not installed. */
export function findQemu(): string | null {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, qemuProgram);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {}
  }
  return null;
}

/** Killed by id when this process ends, however it ends. */
const living = new Set<ChildProcess>();
let watching = false;

function watchExit(): void {
  if (watching) return;
  watching = true;
  process.once('exit', () => {
    for (const { pid } of living) killGroup(pid, process.kill);
  });
}

/**
 * A board in QEMU, its UART on a pseudo-terminal that the serialport package opens. Instructions are counted, not
 * cycles. Throws DEVICE_FAILED when QEMU is missing or does not start. Flash is RAM there: a restart empties it.
 */
export async function startQemu(options: QemuOptions): Promise<EmulatedBoard> {
  const program = findQemu();
  if (!program) {
    throw new HildaError('DEVICE_FAILED', 'QEMU is not installed', {
      hint: 'Install qemu-system-arm (Debian: apt-get install qemu-system-arm).',
    });
  }
  watchExit();
  let onBytes: (bytes: Uint8Array) => void = () => {};
  let onClose: (reason: string) => void = () => {};
  let closed = false;
  const start = async (): Promise<{ child: ChildProcess; line: Transport }> => {
    const { child, path } = await spawnBoard(program, options);
    const line = await openSerial({ path, baud: 115_200 });
    line.onBytes((bytes) => onBytes(bytes));
    const tell = (reason: string): void => {
      if (!closed && child === running.child) onClose(reason);
    };
    line.onClose(tell);
    child.once('exit', (code, signal) => tell(`QEMU ended (${signal ?? code})`));
    return { child, line };
  };
  let running = {} as { child: ChildProcess; line: Transport };
  running = await start();
  return {
    name: `emulated ${options.machine}`,
    write: (bytes) => running.line.write(bytes),
    onBytes: (listener) => {
      onBytes = listener;
    },
    onClose: (listener) => {
      onClose = listener;
    },
    restart: async () => {
      const before = running;
      running = {} as typeof running;
      await stop(before);
      running = await start();
    },
    halt: () => void running.child.kill('SIGSTOP'),
    busyMs: () => null,
    close: async () => {
      closed = true;
      await stop(running);
    },
  };
}

async function stop({ child, line }: { child: ChildProcess; line: Transport }): Promise<void> {
  await line?.close();
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGKILL');
  await ended;
}

/** Starts QEMU and answers with its process and the path of the board's serial port. The caller kills it. */
export function spawnBoard(
  program: string,
  { machine, imagePath, loadAddress = 0, signal }: QemuOptions,
): Promise<{ child: ChildProcess; path: string }> {
  const icount = `shift=${Math.log2(qemuInstructionNs)},sleep=off`;
  const [command, ...args] = guardedCommand(
    [
      program,
      '-M',
      machine,
      // A raw image given as kernel goes to address 0, occupied or not.
      ...(loadAddress === 0
        ? ['-kernel', imagePath]
        : ['-device', `loader,file=${imagePath},addr=${loadAddress},force-raw=on`]),
      '-display',
      'none',
      '-monitor',
      'none',
      '-serial',
      'pty',
      '-icount',
      icount,
    ],
    process.platform,
  );
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'], signal, detached: true });
  living.add(child);
  child.once('exit', () => {
    living.delete(child);
    killGroup(child.pid, process.kill);
  });
  return new Promise((resolve, reject) => {
    let said = '';
    const hear = (chunk: Buffer): void => {
      said += chunk.toString();
      const path = /redirected to (\S+)/.exec(said)?.[1];
      if (path) resolve({ child, path });
    };
    child.stdout?.on('data', hear);
    child.stderr?.on('data', hear);
    const fail = (reason: string): void =>
      reject(new HildaError('DEVICE_FAILED', `QEMU does not start: ${reason}`));
    child.once('error', (error) => fail(error.message));
    child.once('exit', (code) => fail(`exit code ${code}: ${said.trim().slice(-300)}`));
  });
}
