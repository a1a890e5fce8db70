import { HildaError } from '../core/errors.js';
import type { DeviceRecord, JobRecord, Lease, Store } from '../store/contract.js';
import type { Ended, JobEnd, NewJob } from '../store/job-contract.js';
import { Batches, type Gathering } from './batches.js';
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

/** A turn of a station, or a job that comes in. */
type Item = Turn | NewJob;
type Answer = Turned | JobRecord | HildaError;

export interface JobTurnsOptions {
  readonly store: Pick<Store, 'turnJobs'>;
  /** Names this daemon's leases. Ends with a slash. */
  readonly owner: string;
  readonly ttlMs: number;
  readonly gathering?: Gathering | undefined;
  /** Takes the station's next job out of line. */
  readonly pick: (station: string) => Choice | undefined;
  /** Puts it back: it could not be claimed. */
  readonly putBack: (choice: Choice) => void;
}

/** So many stations share a transaction: a larger one would keep the others waiting. */
const most = 16;
/** So many jobs come in with them. */
const mostComing = 64;

const isTurn = (item: Item): item is Turn => 'station' in item;

/**
 * The one place that stores jobs and results and claims devices. A station's result and the claim of its next job are one
 * transaction; stations that end while another transaction is under way share the next. The next job is picked at the last
 * moment. Jobs that come in are stored with the turns of others where there are some.
 */
export class JobTurns {
  readonly #options: JobTurnsOptions;
  readonly #batches: Batches<Item, Answer>;

  constructor(options: JobTurnsOptions) {
    this.#options = options;
    const { gathering } = options;
    this.#batches = new Batches((items) => this.#write(items), { most, mostPatient: mostComing, gathering });
  }

  /** Throws what the store throws; nothing was stored or claimed then. */
  put(turn: Turn): Promise<Turned> {
    return this.#batches.put(turn) as Promise<Turned>;
  }

  /** Stores a job; it is durable once this resolves. Throws IDEMPOTENCY_CONFLICT, and what the store throws. */
  async submit(job: NewJob): Promise<JobRecord> {
    const stored = (await this.#batches.put(job, { patient: true })) as JobRecord | HildaError;
    if (stored instanceof HildaError) throw stored;
    return stored;
  }

  async #write(items: readonly Item[]): Promise<Answer[]> {
    const { store, owner, ttlMs, pick, putBack } = this.#options;
    const turns = items.filter(isTurn);
    const picks = new Map<Turn, Choice>();
    for (const turn of turns) {
      const choice = turn.station === null ? undefined : pick(turn.station);
      if (choice) picks.set(turn, choice);
    }
    const jobs = items.filter((item): item is NewJob => !isTurn(item));
    const ends = turns.flatMap(({ end }) => end ?? []);
    const claims = [...picks.values()].map(({ entry: { record }, device }) => ({
      job: record.id,
      deviceId: device.id,
      holder: owner + record.share,
    }));
    if (ends.length + claims.length + jobs.length === 0)
      return turns.map(() => ({ ended: null, next: null }));
    try {
      const { ended, claimed, submitted } = await store.turnJobs({ ends, claims, jobs }, ttlMs);
      let [e, c, s] = [0, 0, 0];
      return items.map((item): Answer => {
        if (!isTurn(item)) return submitted[s++] as JobRecord | HildaError;
        const entry = picks.get(item)?.entry;
        const answer = entry && claimed[c++];
        let next: Next | null = null;
        if (entry && answer !== undefined) {
          if (typeof answer === 'string') next = { kind: answer, entry };
          else {
            entry.record = answer.job;
            next = { kind: 'begun', entry, lease: answer.lease, device: answer.device };
          }
        }
        return { ended: item.end ? (ended[e++] ?? null) : null, next };
      });
    } catch (thrown) {
      for (const choice of picks.values()) putBack(choice);
      throw thrown;
    }
  }
}
