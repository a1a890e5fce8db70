import { randomInt } from 'node:crypto';
import type { EmulatedBoard } from '../../../firmware-bridge/emulator/pico-board.js';
import { findQemu, qemuProgram } from '../../../firmware-bridge/emulator/qemu-board.js';
import { startEmulated } from '../../../firmware-bridge/emulator/start-emulated.js';
import { BoardSession } from '../../../firmware-bridge/link/index.js';
import { type Clock, systemClock } from '../../core/clock.js';
import { HildaError } from '../../core/errors.js';
import type { DeviceId } from '../../core/ids.js';
import type { Target } from '../../core/target.js';
import { withSerialFaults } from '../../faults/edges/serial.js';
import type { Device, Driver, Sighting } from '../contract.js';
import { BoardDevice } from './board-device.js';
import { BoardKeeper } from './board-keeper.js';
import { type BoardProfile, type FirmwareImage, findFirmware, loadBoardProfiles } from './board-profile.js';
import { arenaLimit } from './board-program.js';

export interface EmulatedDriverOptions {
  readonly clock?: Clock;
  /** Boards to offer; all that can be emulated by default. */
  readonly boards?: readonly string[];
  /** Where images are found, by board; the shipped ones by default. */
  readonly firmwareOf?: (board: string) => FirmwareImage | null;
  /** Hears of each emulator that is started; for benchmarks that tell its time from the host's. */
  readonly onStart?: (board: EmulatedBoard) => void;
  /** Bounds of one inference, in this machine's time. */
  readonly timeoutMs?: number;
  /** How often emulators in use are looked after; 10 s by default. */
  readonly pingMs?: number;
  /** A multiple of the time-outs of boards; 20 by default: so much slower an emulator is on a busy machine. */
  readonly patience?: number;
  /** Hears of emulators that hung. */
  readonly onTrouble?: (error: HildaError) => void;
}

const defaultPingMs = 10_000;
const defaultPatience = 20;
/** A thread or a process starts first, on a machine that may have other work. */
const bootMs = 120_000;

/** Boards that need no hardware. They count instructions or modelled cycles: never milliseconds of a real board. */
export class EmulatedDriver implements Driver {
  readonly kind = 'emulator';
  readonly #options: EmulatedDriverOptions;

  constructor(options: EmulatedDriverOptions = {}) {
    this.#options = options;
  }

  async *discover(_options: { readonly signal: AbortSignal }): AsyncIterable<Sighting> {
    const { firmwareOf = findFirmware } = this.#options;
    for (const profile of loadBoardProfiles().values()) {
      const { board, emulator, label } = profile;
      if (!emulator || this.#options.boards?.includes(board) === false) continue;
      const firmware = firmwareOf(board);
      if (!firmware) continue;
      const missing = emulator.kind === 'qemu' && findQemu() === null;
      yield {
        id: `emulated-${board}` as DeviceId,
        kind: this.kind,
        label: `${label}, emulated (${unitOf(profile) === 'cycles' ? 'cycles, modelled' : 'instructions'})`,
        target: targetOf(profile, firmware),
        host: 'local',
        obstacle: missing
          ? `${qemuProgram} is not installed. Install it (Debian: apt-get install qemu-system-arm).`
          : null,
      };
    }
  }

  async open(sighting: Sighting, { signal }: { readonly signal: AbortSignal }): Promise<Device> {
    const {
      clock = systemClock,
      timeoutMs,
      pingMs = defaultPingMs,
      onTrouble,
      firmwareOf = findFirmware,
    } = this.#options;
    const profile = loadBoardProfiles().get(sighting.id.replace(/^emulated-/, ''));
    const firmware = profile && firmwareOf(profile.board);
    if (!profile || !firmware)
      throw new HildaError('DEVICE_UNKNOWN', `there is no emulated board ${sighting.id}`);
    const keeper = new BoardKeeper({
      open: (life) => this.#start(profile, firmware, life),
      clock,
      pingMs,
      onTrouble,
    });
    try {
      const { board } = await keeper.attach(signal);
      const unit = unitOf(profile);
      return new BoardDevice({
        target: targetOf(profile, firmware),
        limits: {
          memoryBytes: arenaLimit(profile, board),
          weightBytes: Math.min(board.slotBytes, profile.flashBytes),
        },
        profile,
        keeper,
        clock,
        provenance: 'emulated',
        unit,
        // The emulated time of a network that a person would wait for, at the emulator's pace.
        ...(timeoutMs !== undefined && { timeoutMs }),
      });
    } catch (error) {
      await keeper.close();
      throw error;
    }
  }

  async #start(
    { emulator = { kind: 'rp2040js' }, board }: BoardProfile,
    firmware: FirmwareImage,
    signal: AbortSignal,
  ): Promise<BoardSession> {
    const { clock = systemClock, onStart, patience = defaultPatience } = this.#options;
    const transport = await withSerialFaults(`emulated-${board}`, () =>
      startEmulated(emulator, firmware, signal),
    );
    onStart?.(transport);
    const session = new BoardSession({ transport, clock, nonce, patience });
    try {
      const hello = await session.hello({ signal, bootMs });
      if (hello.board !== board || hello.buildHash !== firmware.buildHash) {
        throw new HildaError(
          'FIRMWARE_MISMATCH',
          `the emulator runs ${hello.board}, build ${hello.buildHash}`,
        );
      }
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }
}

export const nonce = (): number => randomInt(1, 2 ** 32);

const unitOf = ({ emulator }: BoardProfile): 'cycles' | 'instructions' =>
  emulator?.kind === 'qemu' ? 'instructions' : 'cycles';

function targetOf(profile: BoardProfile, firmware: FirmwareImage): Target {
  return {
    model: profile.label,
    clockHz: null,
    runtime: 'hilda-firmware',
    runtimeVersion: firmware.buildHash.slice(0, 12),
    provider: 'firmware',
    threads: 1,
    dtype: 'int8',
    tier: profile.emulator?.kind === 'qemu' ? 'qemu' : 'rp2040js',
  };
}
