import type { Clock } from '../../core/clock.js';
import type { RoundLeg, RoundRunner, TimedRound } from '../../measure/round-runner.js';
import { median } from '../../measure/statistics.js';
import type { PageSession } from './page-session.js';
import { mostLegs, type Slot } from './wire.js';

/** A sample shorter than this many steps of the clock would be known to worse than 2 %. */
const leastSteps = 50;
const mostInner = 4096;

/** Reference, candidate, reference. */
const legsOfRound = 3;
/** Rounds that are asked for at once are few, as those that the loop does not want any more are taken in vain. */
const mostAhead = 8;

export interface PageRoundsOptions {
  readonly timerStepUs: number;
  readonly timeoutMs: number;
  readonly clock: Clock;
}

interface PlannedLeg {
  readonly slot: Slot;
  readonly runs: number;
  readonly inner: number;
}

/** Rounds of one plan that came ahead of being asked for. */
interface Ahead {
  readonly plan: string;
  readonly rounds: Float64Array[][];
}

/**
 * Times legs in a page's worker that holds the candidate and the reference. Browsers coarsen the clock, so that each
 * sample is the mean of `inner` runs that together take 50 steps or more.
 */
export class PageRounds implements RoundRunner {
  readonly #page: PageSession;
  readonly #options: PageRoundsOptions;
  readonly inner: Record<Slot, number> = { candidate: 1, reference: 1 };
  #ahead: Ahead = { plan: '', rounds: [] };
  /** Of the last call: what the line took, in rounds of the page's own time. */
  #lineRounds = 0;
  /** What the line took of all calls, its breaks included, microseconds. */
  #lineUs = 0;

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
    const samplesUs = await this.#nextRound(plan, signal);
    // A network runs faster than when it settled, once the engine's optimising compiler comes in.
    for (const [i, { slot, inner }] of plan.entries()) {
      const tookUs = median(samplesUs[i] as Float64Array) * inner;
      if (inner === this.inner[slot] && tookUs < this.#leastUs) this.#lengthen(slot, tookUs);
    }
    return { samplesUs, lostShare: null };
  }

  /** The page's time: a protocol's limits are for runs, and not for the line that asks for them. */
  get clock(): Clock {
    const { clock } = this.#options;
    return {
      nowMs: () => clock.nowMs(),
      sleep: (...args) => clock.sleep(...args),
      monotonicUs: () => clock.monotonicUs() - this.#lineUs,
    };
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

  /**
   * A line with a long delay would use the protocol's time up between the rounds: where it takes longer than the page does,
   * several rounds come at once.
   */
  async #nextRound(plan: readonly PlannedLeg[], signal: AbortSignal): Promise<Float64Array[]> {
    const key = JSON.stringify(plan);
    const ready = this.#ahead.plan === key ? this.#ahead.rounds.shift() : undefined;
    if (ready) return ready;
    const most = Math.min(mostAhead, Math.floor(mostLegs / plan.length));
    const count = Math.min(most, Math.max(1, Math.ceil(this.#lineRounds)));
    const samples = await this.#time(Array.from({ length: count }, () => plan).flat(), signal);
    const rounds = Array.from({ length: count }, (_, i) =>
      samples.slice(i * plan.length, (i + 1) * plan.length),
    );
    this.#ahead = { plan: key, rounds: rounds.slice(1) };
    return rounds[0] as Float64Array[];
  }

  async #time(legs: readonly PlannedLeg[], signal: AbortSignal): Promise<Float64Array[]> {
    const { timeoutMs, clock } = this.#options;
    const startUs = clock.monotonicUs();
    const { samplesUs, tookUs } = await this.#page.call({ op: 'time', legs }, { signal, timeoutMs });
    const lineUs = Math.max(0, clock.monotonicUs() - startUs - tookUs);
    this.#lineUs += lineUs;
    this.#lineRounds = lineUs / Math.max(1, tookUs / Math.ceil(legs.length / legsOfRound));
    return legs.map(({ inner }, i) => Float64Array.from(samplesUs[i] ?? [], (us) => us / inner));
  }
}
