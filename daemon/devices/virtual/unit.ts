import { HildaError } from '../../core/errors.js';
import { sha256Hex } from '../../core/hash.js';
import type { DeviceId } from '../../core/ids.js';
import type { Target } from '../../core/target.js';
import { type Firmware, type Mishap, mishapWithin, restartMs } from './mishaps.js';
import { Body, coolThermal, type Thermal } from './thermal.js';

export interface VirtualUnitOptions {
  readonly id: string;
  /** The model of its target; `virtual` by default. */
  readonly model?: string;
  readonly label?: string;
  /** With the id, what its noise is drawn by; 1 by default. */
  readonly seed?: number;
  /** So many times as fast as the model of latencies says; 1 by default. */
  readonly speed?: number;
  /** Standard deviations of the logarithm of a time: of one run, and of a whole session. 0.01 and 0.005 by default. */
  readonly noise?: { readonly within: number; readonly between: number };
  readonly thermal?: Thermal;
  /** In any order; `1.0.0` without any effect by default. */
  readonly firmware?: readonly Firmware[];
  readonly mishaps?: readonly Mishap[];
}

/** What a virtual device is at a moment. An opened device works for as long as its `epoch` stays the same. */
export interface UnitState {
  readonly isPresent: boolean;
  readonly address: string;
  readonly firmware: Firmware;
  readonly epoch: string;
}

const shipped: Firmware = { version: '1.0.0', fromMs: Number.NEGATIVE_INFINITY, factor: 1 };

/** One virtual device: what it is, what befalls it and when, and how warm it is. */
export class VirtualUnit {
  readonly id: DeviceId;
  readonly label: string;
  readonly speed: number;
  readonly noise: { readonly within: number; readonly between: number };
  readonly mishaps: readonly Mishap[];
  readonly body: Body;
  /** What its draws begin from. */
  readonly seed: number;
  readonly #model: string;
  readonly #firmware: readonly Firmware[];
  #sessions = 0;

  constructor({
    id,
    model = 'virtual',
    label = `Virtual device ${id}, no hardware`,
    seed = 1,
    speed = 1,
    noise = { within: 0.01, between: 0.005 },
    thermal = coolThermal,
    firmware = [],
    mishaps = [],
  }: VirtualUnitOptions) {
    this.id = id as DeviceId;
    this.label = label;
    this.speed = speed;
    this.noise = noise;
    this.mishaps = mishaps;
    this.body = new Body(thermal);
    this.seed = Number.parseInt(sha256Hex(`${seed} ${id}`).slice(0, 8), 16);
    this.#model = model;
    this.#firmware = [shipped, ...firmware].sort((a, b) => a.fromMs - b.fromMs);
  }

  /** The number of a session, from 0. */
  nextSession(): number {
    return this.#sessions++;
  }

  at(ms: number): UnitState {
    const away = this.#absences().filter(({ fromMs }) => fromMs <= ms);
    const moves = this.mishaps.filter((one) => one.kind === 'move' && one.untilMs <= ms).length;
    const firmware = this.#firmware.findLast(({ fromMs }) => fromMs <= ms) as Firmware;
    const address = `virtual://${this.id}/${moves + 1}`;
    return {
      isPresent: away.every(({ untilMs }) => untilMs <= ms),
      address,
      firmware,
      epoch: `${address} ${firmware.version} ${away.length}`,
    };
  }

  /** The target that measurements have at a moment: another firmware is another version of the runtime. */
  targetAt(ms: number): Target {
    return {
      model: this.#model,
      clockHz: null,
      runtime: 'virtual',
      runtimeVersion: this.at(ms).firmware.version,
      provider: 'virtual',
      threads: 1,
      dtype: 'float32',
      tier: 'virtual',
    };
  }

  /** What first disturbs work within the span, both ends included. */
  disturbanceWithin(fromMs: number, untilMs: number): Mishap | undefined {
    return mishapWithin([...this.#absences(), ...this.mishaps.filter(isHang)], fromMs, untilMs);
  }

  /** The next moment after this one at which it comes, leaves, or is another target. */
  nextChange(afterMs: number): number | undefined {
    const later = this.#absences()
      .flatMap(({ fromMs, untilMs }) => [fromMs, untilMs])
      .filter((ms) => ms > afterMs);
    return later.length === 0 ? undefined : Math.min(...later);
  }

  /** Unplugged, moved, or restarting with another firmware. */
  #absences(): readonly Mishap[] {
    this.#away ??= [
      ...this.mishaps.filter((one) => !isHang(one)),
      ...this.#firmware
        .filter(({ fromMs }) => Number.isFinite(fromMs))
        .map(({ fromMs }) => ({ kind: 'unplug', fromMs, untilMs: fromMs + restartMs }) as const),
    ];
    return this.#away;
  }

  #away: readonly Mishap[] | undefined;
}

const isHang = ({ kind }: Mishap): boolean => kind === 'hang';

export const goneError = (id: DeviceId, what: string, unreached = false): HildaError =>
  new HildaError('DEVICE_GONE', `the virtual device ${id} ${what}`, {
    ...(unreached && { details: { unreached: true } }),
  });
