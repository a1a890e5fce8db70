import type { HildaError } from '../core/errors.js';
import type { DeviceRecord, Lease, Store } from '../store/contract.js';
import type { Ended, JobEnd } from '../store/job-contract.js';
import { Batches } from './batches.js';
import type { Entry } from './entry.js';

/** A device that a job shall have. */
export interface Choice {
  readonly entry: Entry;
  readonly device: DeviceRecord;
}

/** What a station does next. `taken`: somebody else holds the device. `closed`: the job is no longer queued. */
export type Next =
  | { readonly kind: 'begun'; readonly entry: Entry; readonly lease: Lease; readonly device: DeviceRecord }
  | { readonly kind: 'taken' | 'closed'; readonly entry: Entry };

export interface Turn {
  readonly end: JobEnd | null;
  /** Which station takes its next job in the same transaction; null for none. */
  readonly station: string | null;
}

export interface Turned {
  readonly ended: Ended | HildaError | null;
  /** Null where nothing waits for the station. */
  readonly next: Next | null;
}

export interface JobTurnsOptions {
  readonly store: Pick<Store, 'turnJobs'>;
  /** Names this daemon's leases. Ends with a slash. */
  readonly owner: string;
  readonly ttlMs: number;
  /** Takes the station's next job out of line. */
  readonly pick: (station: string) => Choice | undefined;
  /** Puts it back: it could not be claimed. */
  readonly putBack: (choice: Choice) => void;
}

/** So many stations share a transaction: a larger one would keep the others waiting. */
const most = 16;

/**
 * The one place that stores results and claims devices. A station's result and the claim of its next job are one transaction;
 * stations that end while another transaction is under way share the next. The next job is picked at the last moment.
 */
export class JobTurns {
  readonly #options: JobTurnsOptions;
  readonly #batches: Batches<Turn, Turned>;

  constructor(options: JobTurnsOptions) {
    this.#options = options;
    this.#batches = new Batches((turns) => this.#write(turns), most);
  }

  /** Throws what the store throws; nothing was stored or claimed then. */
  put(turn: Turn): Promise<Turned> {
    return this.#batches.put(turn);
  }

  async #write(turns: readonly Turn[]): Promise<Turned[]> {
    const { store, owner, ttlMs, pick, putBack } = this.#options;
    const picks = turns.map(({ station }) => (station === null ? undefined : pick(station)));
    const ends = turns.flatMap(({ end }) => end ?? []);
    const claims = picks.flatMap((one) =>
      one
        ? [
            {
              job: one.entry.record.id,
              deviceId: one.device.id,
              holder: owner + one.entry.record.share,
            },
          ]
        : [],
    );
    if (ends.length === 0 && claims.length === 0) return turns.map(() => ({ ended: null, next: null }));
    try {
      const { ended, claimed } = await store.turnJobs({ ends, claims }, ttlMs);
      let [e, c] = [0, 0];
      return turns.map(({ end }, i) => {
        const entry = picks[i]?.entry;
        const answer = entry && claimed[c++];
        let next: Next | null = null;
        if (entry && answer !== undefined) {
          if (typeof answer === 'string') next = { kind: answer, entry };
          else {
            entry.record = answer.job;
            next = { kind: 'begun', entry, lease: answer.lease, device: answer.device };
          }
        }
        return { ended: end ? (ended[e++] ?? null) : null, next };
      });
    } catch (thrown) {
      for (const one of picks) if (one) putBack(one);
      throw thrown;
    }
  }
}
