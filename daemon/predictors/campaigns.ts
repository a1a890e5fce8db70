import { asHildaError, HildaError } from '../core/errors.js';
import type { PredictorId } from '../core/ids.js';
import type { PredictorRecord } from '../store/contract.js';

/** Measuring for a predictor, in the background; what it yields is in the store. */
export interface Campaign {
  readonly id: string;
  readonly state: 'running' | 'done' | 'failed';
  readonly done: number;
  readonly of: number;
  readonly predictorId: PredictorId | null;
  /** Networks that gave no valid measurement, and why. */
  readonly failures: readonly string[];
  /** How many networks were chosen for which reason; empty until the campaign is done. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly error: HildaError | null;
}

/** What runs in the background, and what became of it; forgotten with the process. */
export class Campaigns {
  readonly #entries = new Map<string, { view: Campaign; readonly done: Promise<void> }>();

  /** Throws NOT_FOUND. */
  campaign(id: string): Campaign {
    const campaign = this.#entries.get(id);
    if (!campaign)
      throw new HildaError('NOT_FOUND', `there is no campaign ${id}`, {
        hint: 'Campaigns are forgotten when the daemon restarts; their measurements are not: start it again.',
      });
    return campaign.view;
  }

  /** The campaign once it has ended, well or not. Throws NOT_FOUND. */
  async finished(id: string): Promise<Campaign> {
    await this.#entries.get(id)?.done;
    return this.campaign(id);
  }

  /** Resolves when all have ended. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#entries.values()].map(({ done }) => done));
  }

  /** Starts one of `of` networks; its work ends with the predictor that it made or changed. */
  launch(
    of: number,
    work: (onProgress: (done: number, of: number) => void) => Promise<{
      readonly record: PredictorRecord;
      readonly failures: readonly string[];
      readonly reasons?: Campaign['reasons'];
    }>,
  ): Campaign {
    const id = String(this.#entries.size + 1);
    let view: Campaign = {
      id,
      state: 'running',
      done: 0,
      of,
      predictorId: null,
      failures: [],
      reasons: {},
      error: null,
    };
    const show = (change: Partial<Campaign>): void => {
      view = { ...view, ...change };
      const entry = this.#entries.get(id);
      if (entry) entry.view = view;
    };
    const done = work((count, total) => show({ done: count, of: total })).then(
      ({ record, failures, reasons = {} }) =>
        show({ state: 'done', predictorId: record.id, failures, reasons }),
      (thrown: unknown) => show({ state: 'failed', error: asHildaError(thrown) }),
    );
    this.#entries.set(id, { view, done });
    return view;
  }
}
