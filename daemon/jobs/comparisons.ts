import type { Clock } from '../core/clock.js';
import { asHildaError, fromErrorDocument, HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { EquivalenceVerdict } from '../fleet/equivalence.js';
import type { CampaignRecord } from '../store/campaign-contract.js';
import type { Store } from '../store/contract.js';
import type { Campaigns } from './campaigns.js';
import { compare, comparisonOf, type EquivalenceOptions } from './compare.js';
import type { Jobs } from './jobs.js';

export interface ComparisonsOptions {
  readonly store: Store;
  readonly jobs: Pick<Jobs, 'run'>;
  readonly clock: Clock;
  readonly campaigns: Pick<Campaigns, 'define' | 'launch' | 'finished' | 'cancel'>;
}

/** Tests of whether two devices are equivalent, as campaigns: one that a daemon left goes on with the next. */
export class Comparisons {
  readonly #options: ComparisonsOptions;

  constructor(options: ComparisonsOptions) {
    this.#options = options;
    options.campaigns.define('compare', (campaign, context) => compare(campaign, context, options));
  }

  /** Throws what `comparisonOf` throws. */
  async start(
    a: DeviceId,
    b: DeviceId,
    asked: Omit<EquivalenceOptions, 'signal'> = {},
  ): Promise<CampaignRecord> {
    const { store, campaigns } = this.#options;
    const { request, of } = await comparisonOf(a, b, asked, store);
    return campaigns.launch('compare', request as unknown as Json, of);
  }

  /** Waits for the verdict. A client that goes away ends the test; a daemon that stops does not. Throws what `compare` throws. */
  async verdict(
    a: DeviceId,
    b: DeviceId,
    { signal, ...asked }: EquivalenceOptions,
  ): Promise<EquivalenceVerdict> {
    const { campaigns } = this.#options;
    signal.throwIfAborted();
    const { id } = await this.start(a, b, asked);
    const leave = (): void => {
      if (asHildaError(signal.reason).details.stopping !== true) void campaigns.cancel(id).catch(() => {});
    };
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
    try {
      const { state, result, error } = await campaigns.finished(id);
      signal.throwIfAborted();
      if (error) throw fromErrorDocument(error);
      if (state !== 'done') throw new HildaError('INTERRUPTED', `the comparison ${id} is ${state}`);
      return result as unknown as EquivalenceVerdict;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }
}
