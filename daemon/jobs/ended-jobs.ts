import { type ErrorDocument, fromErrorDocument } from '../core/errors.js';
import type { MeasurementId } from '../core/ids.js';
import type { JobRecord, Store } from '../store/contract.js';
import type { Outcome } from './job.js';

/** Ended jobs that are remembered, and how many more there may be before the oldest are forgotten. */
const remembered = { most: 10_000, slack: 500 };

/** Jobs that ended: what came of them, until they are forgotten. */
export class EndedJobs {
  readonly #store: Pick<Store, 'measurement' | 'forgetJobs'>;
  #sinceForgotten = 0;

  constructor(store: Pick<Store, 'measurement' | 'forgetJobs'>) {
    this.#store = store;
  }

  /** What a stored job yielded. Throws why it failed. */
  async outcomeOf(job: JobRecord): Promise<Outcome> {
    if (job.state !== 'done') throw fromErrorDocument(job.error as unknown as ErrorDocument);
    const { measurementId, classifies } = (job.result ?? {}) as {
      measurementId?: MeasurementId;
      classifies?: boolean;
    };
    const measurement = measurementId ? await this.#store.measurement(measurementId) : null;
    return { job, measurement, value: job.result, outputs: null, classifies: classifies ?? null };
  }

  /** Hears of each job that was submitted: now and then the oldest ended ones are forgotten. */
  forgetOldest(): void {
    if (++this.#sinceForgotten < remembered.slack) return;
    this.#sinceForgotten = 0;
    void this.#store.forgetJobs(remembered.most).catch(() => {});
  }
}
