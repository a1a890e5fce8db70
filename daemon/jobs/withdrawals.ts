import { HildaError, toErrorDocument } from '../core/errors.js';
import type { JobId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { JobRecord, Store } from '../store/contract.js';
import type { LateWrites } from '../store/late-writes.js';
import type { Appointments } from './appointments.js';
import { Batches } from './batches.js';
import type { Dispatcher } from './dispatcher.js';
import type { Entry } from './entry.js';
import { endedBy } from './new-job.js';

export interface WithdrawalsOptions {
  readonly store: Pick<Store, 'closeJobs'>;
  readonly dispatcher: Dispatcher;
  readonly appointments: Appointments;
  readonly late: LateWrites;
  /** The job waits no longer. */
  readonly onEnded: (entry: Entry) => void;
}

/** Jobs that end without being begun: cancelled, or too late. */
export class Withdrawals {
  readonly #options: WithdrawalsOptions;
  readonly #cancels: Batches<JobId, JobRecord | undefined>;

  constructor(options: WithdrawalsOptions) {
    this.#options = options;
    this.#cancels = new Batches(
      async (ids) => {
        const closed = await options.store.closeJobs(ids, 'cancelled', endedBy.cancel);
        return ids.map((id) => closed.find((job) => job.id === id));
      },
      { most: 500 },
    );
  }

  /** One that runs ends by its abort. Throws where that could not be stored; it is stored later then. */
  async cancel(entry: Entry, reason: HildaError): Promise<void> {
    if (entry.abort.signal.aborted) return;
    entry.abort.abort(reason);
    // One that is not in line runs, or is about to: its end sees the abort.
    if (!this.#leavesLine(entry)) return;
    const { onEnded, late } = this.#options;
    const { id } = entry.record;
    onEnded(entry);
    try {
      await late.write(`the cancellation of ${id}`, () => this.#cancels.put(id));
    } finally {
      entry.reject(reason);
    }
  }

  /** A job that waits at its deadline fails. One that waits to run again had begun, and goes on. */
  async miss(entry: Entry, atMs: number): Promise<void> {
    if (entry.record.startedMs !== null || !this.#leavesLine(entry)) return;
    const { onEnded, late, store } = this.#options;
    const { id } = entry.record;
    const error = new HildaError('DEADLINE_MISSED', `the job ${id} had not begun by its deadline`, {
      details: { jobId: id, deadlineMs: atMs },
    });
    onEnded(entry);
    const document = toErrorDocument(error) as unknown as Json;
    await late
      .write(`the missed deadline of ${id}`, () => store.closeJobs([id], 'failed', document))
      .catch(() => {});
    entry.reject(error);
  }

  /** Takes a job that neither runs nor is about to out of line; answers whether it was there. */
  #leavesLine(entry: Entry): boolean {
    const { appointments, dispatcher } = this.#options;
    return appointments.remove(entry) || dispatcher.schedule.remove(entry);
  }
}
