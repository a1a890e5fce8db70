import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError, toErrorDocument } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { CampaignEnd, CampaignFilter, CampaignRecord } from '../store/campaign-contract.js';
import type { Store } from '../store/contract.js';
import { mayPass } from '../store/late-writes.js';

export interface CampaignContext {
  readonly signal: AbortSignal;
  /** Aborts where somebody cancels the campaign, and not where the daemon stops. */
  readonly cancelled: AbortSignal;
  /** Keeps how far it is, and what a later daemon needs to go on. */
  readonly onProgress: (done: number, progress?: Json) => Promise<void>;
}

/** Does a campaign's work from where it stood; what it made is stored with its end. */
export type CampaignWork = (
  campaign: CampaignRecord,
  context: CampaignContext,
) => Promise<Omit<CampaignEnd, 'state' | 'error'>>;

export interface CampaignsOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** Between two tries where the store takes nothing; 5 s by default. */
  readonly againMs?: number;
}

/** Phones and agents come back by themselves after the daemon does, within this. */
const returnMs = 120_000;

interface Running {
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

/** Several jobs with one purpose, as rows: a daemon that starts goes on with those that its predecessor left. */
export class Campaigns {
  readonly #options: CampaignsOptions;
  readonly #works = new Map<string, CampaignWork>();
  readonly #running = new Map<string, Running>();
  readonly #life = new AbortController();

  constructor(options: CampaignsOptions) {
    this.#options = options;
  }

  /** Names the work of a kind; before `start`. */
  define(kind: string, work: CampaignWork): void {
    this.#works.set(kind, work);
  }

  /** Goes on with what a former daemon left. */
  async start(): Promise<void> {
    const left = await this.#options.store.campaigns({ state: 'running', limit: 10_000 });
    const patientUntilMs = this.#options.clock.nowMs() + returnMs;
    for (const campaign of left.reverse())
      if (!this.#running.has(campaign.id)) this.#run(campaign, patientUntilMs);
  }

  /** What runs stays running, for the next daemon. */
  async stop(): Promise<void> {
    this.#life.abort(new HildaError('INTERRUPTED', 'the daemon is stopping'));
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  /** Durable once this resolves. */
  async launch(kind: string, request: Json, of: number): Promise<CampaignRecord> {
    this.#life.signal.throwIfAborted();
    return this.take(await this.#options.store.addCampaign({ kind, request, of }));
  }

  /** Begins the work of a campaign whose row was stored with others. */
  take(campaign: CampaignRecord): CampaignRecord {
    this.#run(campaign);
    return campaign;
  }

  /** Throws NOT_FOUND. */
  show(id: string): Promise<CampaignRecord> {
    return this.#options.store.campaign(id);
  }

  /** Newest first, and how many fit the filter in all. Throws NOT_FOUND where there is no campaign `before`. */
  async list(
    filter: CampaignFilter & { readonly before?: string; readonly limit?: number } = {},
  ): Promise<{ readonly campaigns: CampaignRecord[]; readonly total: number }> {
    const { store } = this.#options;
    const { before: _, limit: __, ...plain } = filter;
    return { campaigns: await store.campaigns(filter), total: await store.campaignCount(plain) };
  }

  /** The campaign once it has ended, well or not. Throws NOT_FOUND, and INTERRUPTED where the daemon stops. */
  async finished(id: string): Promise<CampaignRecord> {
    await this.#running.get(id)?.done;
    const campaign = await this.show(id);
    if (campaign.state === 'running') this.#life.signal.throwIfAborted();
    return campaign;
  }

  /** Its jobs end with it. Throws NOT_FOUND, and STATE_CONFLICT where it has ended. */
  async cancel(id: string): Promise<CampaignRecord> {
    const { state } = await this.show(id);
    const running = this.#running.get(id);
    if (!running)
      throw new HildaError('STATE_CONFLICT', `the campaign ${id} is ${state}`, {
        hint: 'Only campaigns that run can be cancelled.',
        details: { campaignId: id, state },
      });
    running.abort.abort(new HildaError('INTERRUPTED', `the campaign ${id} was cancelled`));
    await running.done;
    return this.show(id);
  }

  /** Until the moment given, a device that is away may come. */
  #run(campaign: CampaignRecord, patientUntilMs = 0): void {
    const abort = new AbortController();
    const done = this.#work(campaign, abort, patientUntilMs)
      .catch(() => {})
      .finally(() => this.#running.delete(campaign.id));
    this.#running.set(campaign.id, { abort, done });
  }

  /** A store that takes nothing delays a campaign; it goes on from its row. */
  async #work({ id, kind }: CampaignRecord, abort: AbortController, patientUntilMs: number): Promise<void> {
    const { store, clock, againMs = 5000 } = this.#options;
    const signal = AbortSignal.any([abort.signal, this.#life.signal]);
    for (;;) {
      try {
        const end = await this.#ending(await store.campaign(id), kind, abort.signal, signal);
        if (end.error?.code === 'DEVICE_GONE' && clock.nowMs() < patientUntilMs && end.state === 'failed')
          await clock.sleep(Math.min(againMs, 1000), { signal }).catch(() => {});
        else {
          await store.endCampaign(id, end);
          return;
        }
      } catch (thrown) {
        const error = asHildaError(thrown);
        if (this.#life.signal.aborted || !mayPass(error)) throw error;
        await clock.sleep(againMs, { signal: this.#life.signal });
      }
    }
  }

  /** Throws what says nothing of the campaign: the daemon stops, the store takes nothing. */
  async #ending(
    campaign: CampaignRecord,
    kind: string,
    cancelled: AbortSignal,
    signal: AbortSignal,
  ): Promise<CampaignEnd> {
    const { store } = this.#options;
    const work = this.#works.get(kind);
    try {
      if (!work) throw new HildaError('NOT_FOUND', `this version knows no campaigns of the kind ${kind}`);
      signal.throwIfAborted();
      const end = await work(campaign, {
        signal,
        cancelled,
        onProgress: (done, progress) =>
          store.noteCampaign(campaign.id, { done, ...(progress !== undefined && { progress }) }),
      });
      return { ...end, state: 'done', error: null };
    } catch (thrown) {
      const error = asHildaError(thrown);
      if (!cancelled.aborted && (this.#life.signal.aborted || mayPass(error))) throw error;
      const state = cancelled.aborted ? 'cancelled' : 'failed';
      return { state, result: null, error: toErrorDocument(error) };
    }
  }
}
