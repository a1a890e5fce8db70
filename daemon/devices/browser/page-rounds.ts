import type { RoundLeg, RoundRunner, TimedRound } from '../../measure/round-runner.js';
import { median } from '../../measure/statistics.js';
import type { PageSession } from './page-session.js';
import type { Slot } from './wire.js';

/** A sample shorter than this many steps of the clock would be known to worse than 2 %. */
const leastSteps = 50;
const mostInner = 4096;

export interface PageRoundsOptions {
  readonly timerStepUs: number;
  readonly timeoutMs: number;
}

/**
 * Times legs in a page's worker that holds the candidate and the reference. Browsers coarsen the clock, so that each
 * sample is the mean of `inner` runs that together take 50 steps or more.
 */
export class PageRounds implements RoundRunner {
  readonly #page: PageSession;
  readonly #options: PageRoundsOptions;
  readonly inner: Record<Slot, number> = { candidate: 1, reference: 1 };

  constructor(page: PageSession, options: PageRoundsOptions) {
    this.#page = page;
    this.#options = options;
  }

  /** Finds how many runs make a sample. Answers with the time of one run, microseconds. */
  async settle(slot: Slot, { signal }: { readonly signal: AbortSignal }): Promise<number> {
    for (;;) {
      const inner = this.inner[slot];
      const [samples] = await this.#time([{ slot, runs: 3, inner }], signal);
      const tookUs = median(samples as Float64Array) * inner;
      if (tookUs >= this.#leastUs || inner >= mostInner)
        return Math.max(tookUs, this.#options.timerStepUs) / inner;
      this.#lengthen(slot, tookUs);
    }
  }

  async time(legs: readonly RoundLeg[], { signal }: { readonly signal: AbortSignal }): Promise<TimedRound> {
    const plan = legs.map(({ network, runs }) => {
      // A page holds one reference, so the loop never asks for a second one.
      const slot: Slot = network === 'candidate' ? 'candidate' : 'reference';
      const inner = this.inner[slot];
      return { slot, runs: Math.max(2, Math.ceil(runs / inner)), inner };
    });
    const samplesUs = await this.#time(plan, signal);
    // A network runs faster than when it settled, once the engine's optimising compiler comes in.
    for (const [i, { slot, inner }] of plan.entries()) {
      const tookUs = median(samplesUs[i] as Float64Array) * inner;
      if (inner === this.inner[slot] && tookUs < this.#leastUs) this.#lengthen(slot, tookUs);
    }
    return { samplesUs, lostShare: null };
  }

  get #leastUs(): number {
    return leastSteps * this.#options.timerStepUs;
  }

  /** More runs a sample, as one took too little. The clock may not have moved at all: then twice as many. */
  #lengthen(slot: Slot, tookUs: number): void {
    const inner = this.inner[slot];
    // Straight for it, with a tenth to spare.
    const wanted = tookUs > 0 ? Math.ceil((1.1 * this.#leastUs * inner) / tookUs) : 2 * inner;
    this.inner[slot] = Math.min(mostInner, Math.max(inner + 1, Math.min(wanted, 16 * inner)));
  }

  async #time(
    legs: readonly { readonly slot: Slot; readonly runs: number; readonly inner: number }[],
    signal: AbortSignal,
  ): Promise<Float64Array[]> {
    const { timeoutMs } = this.#options;
    const { samplesUs } = await this.#page.call({ op: 'time', legs }, { signal, timeoutMs });
    return legs.map(({ inner, runs }, i) =>
      Float64Array.from({ length: runs }, (_, sample) => (samplesUs[i]?.[sample] ?? Number.NaN) / inner),
    );
  }
}
