import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import { isAtFault, isAway } from '../fleet/away.js';
import type { DevicePool } from '../fleet/device-pool.js';
import { pooledWith } from '../fleet/equivalence.js';
import type { Store } from '../store/contract.js';

export interface AbsencesOptions {
  readonly devices: readonly DeviceId[];
  /** How long trials wait for a device that left. */
  readonly holdMs: number;
  readonly store: Store;
  readonly pool: Pick<DevicePool, 'presence' | 'discover'>;
  readonly clock: Clock;
}

/** Between two tries on a device that is there again, or says so. */
const pauseMs = 500;
/** The same for a device that was found at fault: what is wrong with it may pass. Grows fourfold, to no more than this. */
const restMs = { first: 1000, most: 16_000 };
/** Drivers that tell of no changes are looked at this often while trials wait. */
const lookMs = 5000;

/**
 * Devices of a study that left it. Trials that need one are held for a while; then the study goes on without it, with
 * the values of the others, until it is back. Where none is left, the study waits as long and then ends.
 */
export class Absences {
  readonly #options: AbsencesOptions;
  /** When each was first missed. */
  readonly #sinceMs = new Map<DeviceId, number>();
  /** What was last heard of each that is missed. */
  readonly #why = new Map<DeviceId, HildaError>();
  /** Those that were at fault: how often in a row, and until when nobody tries them. */
  readonly #rests = new Map<DeviceId, { readonly faults: number; readonly untilMs: number }>();

  constructor(options: AbsencesOptions) {
    this.#options = options;
  }

  /** Notes the device as missing where the error says that it is not available, and answers whether it does. */
  explains(id: DeviceId, thrown: unknown): boolean {
    if (!isAway(thrown)) return false;
    const nowMs = this.#options.clock.nowMs();
    if (!this.#sinceMs.has(id)) this.#sinceMs.set(id, nowMs);
    this.#why.set(id, asHildaError(thrown));
    if (isAtFault(thrown)) {
      const faults = (this.#rests.get(id)?.faults ?? 0) + 1;
      const pauseMs = Math.min(restMs.first * 4 ** (faults - 1), restMs.most);
      this.#rests.set(id, { faults, untilMs: nowMs + pauseMs });
    }
    return true;
  }

  /** Whether it was found at fault so lately that another try would only repeat that. */
  rests(id: DeviceId): boolean {
    return (this.#rests.get(id)?.untilMs ?? 0) > this.#options.clock.nowMs();
  }

  /** It answered: it has its share again. */
  returned(id: DeviceId): void {
    this.#sinceMs.delete(id);
    this.#why.delete(id);
    this.#rests.delete(id);
  }

  /** Whether a trial that lacks these devices is held: one may yet come back, or no other device is left to go on with. */
  hold(missing: readonly DeviceId[]): boolean {
    return missing.length === this.#options.devices.length || missing.some((id) => this.#isAwaited(id));
  }

  get missing(): readonly DeviceId[] {
    return [...this.#sinceMs.keys()];
  }

  /** The device, or an equivalent one, as far as is known. */
  async isThere(id: DeviceId): Promise<boolean> {
    const { store, pool } = this.#options;
    for (const one of await pooledWith(id, store)) {
      const { present, obstacle } = pool.presence(one);
      if (present && obstacle === null && !isSetAside((await store.device(one)).state)) return true;
    }
    return false;
  }

  /** Resolves when held trials are worth another try. Throws DEVICE_GONE once no device of the study is waited for any more. */
  async wait({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    const { devices, clock, pool } = this.#options;
    // It was back for a later trial already.
    if (this.#sinceMs.size === 0) return;
    const awaited = this.missing.filter((id) => this.#isAwaited(id));
    for (let lookedMs = clock.nowMs(); ; ) {
      await clock.sleep(pauseMs, { signal });
      for (const id of this.missing) if (!this.rests(id) && (await this.isThere(id))) return;
      if (devices.every((id) => this.#sinceMs.has(id) && !this.#isAwaited(id)))
        throw new HildaError(
          'DEVICE_GONE',
          `no device of the study is there: ${devices.map((id) => this.#told(id)).join(', ')}`,
          {
            hint: 'Bring one back and resume the study: its trials wait.',
          },
        );
      if (awaited.some((id) => !this.#isAwaited(id))) return;
      if (clock.nowMs() - lookedMs < lookMs) continue;
      await pool.discover({ signal });
      lookedMs = clock.nowMs();
    }
  }

  /** A device that merely left needs no reason. */
  #told(id: DeviceId): string {
    const why = this.#why.get(id);
    return why && why.code !== 'DEVICE_GONE' ? `${id} (${why.code}: ${why.message})` : id;
  }

  #isAwaited(id: DeviceId): boolean {
    const { clock, holdMs } = this.#options;
    const sinceMs = this.#sinceMs.get(id);
    return sinceMs !== undefined && clock.nowMs() - sinceMs < holdMs;
  }
}

const isSetAside = (state: string): boolean => state === 'ignored' || state === 'quarantined';
