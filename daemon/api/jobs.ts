import { asHildaError, HildaError } from '../core/errors.js';
import type { MeasurementRecord } from '../store/contract.js';
import { toProblem } from './problem.js';
import type { JobView } from './schemas.js';
import { viewMeasurement } from './views.js';

interface Job {
  view: JobView;
  readonly done: Promise<MeasurementRecord>;
  readonly abort: AbortController;
}

/** How many ended jobs are remembered. */
const keepEnded = 1000;

/** Measurements that were asked for and run on their own; what they yield is in the store, their state only here. */
export class Jobs {
  readonly #jobs = new Map<string, Job>();
  #next = 1;

  /** Starts the work. `done` carries its outcome for a caller that waits; one that does not need not catch it. */
  start(work: (signal: AbortSignal) => Promise<MeasurementRecord>): {
    readonly view: JobView;
    readonly done: Promise<MeasurementRecord>;
    cancel(): void;
  } {
    const abort = new AbortController();
    const id = String(this.#next++);
    const done = work(abort.signal);
    const job: Job = { view: { id, state: 'running', measurement: null, problem: null }, done, abort };
    this.#jobs.set(id, job);
    done.then(
      (record) => {
        job.view = { id, state: 'done', measurement: viewMeasurement(record), problem: null };
        this.#forgetOldest();
      },
      (thrown: unknown) => {
        job.view = { id, state: 'failed', measurement: null, problem: toProblem(asHildaError(thrown)) };
        this.#forgetOldest();
      },
    );
    return {
      view: job.view,
      done,
      cancel: () => abort.abort(new HildaError('INTERRUPTED', 'the client went away')),
    };
  }

  show(id: string): JobView {
    const job = this.#jobs.get(id);
    if (!job)
      throw new HildaError('NOT_FOUND', `there is no job ${id}`, {
        hint: 'Jobs are forgotten when the daemon restarts; its measurements are not.',
      });
    return job.view;
  }

  async stop(): Promise<void> {
    for (const { abort } of this.#jobs.values())
      abort.abort(new HildaError('INTERRUPTED', 'the daemon is stopping'));
    await Promise.allSettled([...this.#jobs.values()].map(({ done }) => done));
  }

  #forgetOldest(): void {
    const ended = [...this.#jobs].filter(([, { view }]) => view.state !== 'running');
    for (const [id] of ended.slice(0, Math.max(0, ended.length - keepEnded))) this.#jobs.delete(id);
  }
}
