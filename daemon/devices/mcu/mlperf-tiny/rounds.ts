import type { Clock } from '../../../core/clock.js';
import { HildaError } from '../../../core/errors.js';
import type { Summary } from '../../../core/measurement.js';
import { Xoshiro128 } from '../../../core/rng.js';
import type { Protocol } from '../../../measure/protocol.js';
import { relativeHalfWidth, summarise } from '../../../measure/statistics.js';
import type { Waiting } from './command-line.js';
import { isTrouble } from './line-trouble.js';
import type { Inference, MlperfTinyLine } from './protocol.js';

/** One timed command lasts about this long: far above the microsecond of the firmware's clock. */
const leastUs = 200_000;
const mostRuns = 1500;
/** Runs grow by this factor at most: a first time that was read wrong costs little. */
const growth = 8;
/** The first inference is waited for so long; those after it three times what they should take. */
const firstMs = 60_000;
const spareMs = 3000;
/** Commands in a row without a usable answer after which the line or the board is given up. */
const mostInARow = 6;
/** The firmware's clock may be off by this share; untrimmed oscillators are off by 1 to 3 %. */
const clockTolerance = 0.05;
/** What the host itself may be late by, microseconds. */
const hostSlackUs = 100_000;
/** From the least number of rounds on, the interval is looked at each time that so many more of them are there. */
const lookGrowth = 1.25;

export interface TimedRound {
  /** Mean of the round's inferences, microseconds. */
  readonly latencyUs: number;
  /** Not, where it does not fit this host's clock or its outputs came damaged. */
  readonly kept: boolean;
}

export interface Rounds {
  readonly loadUs: number;
  readonly firstRunUs: number;
  readonly rounds: readonly TimedRound[];
  readonly rawUs: Summary;
  readonly runsPerRound: number;
  /** Outputs that the firmware gave and, asked again, confirmed. */
  readonly outputs: number;
  /** Answers that were lost, damaged or did not fit. */
  readonly unusable: number;
  readonly restarts: number;
}

export interface RoundOptions extends Waiting {
  readonly clock: Clock;
  readonly onRound?: ((done: number, of: number) => void) | undefined;
}

/**
 * Times the compiled-in model: rounds of about 0.2 s until the interval is narrow enough, never fewer than the protocol
 * asks for, even past its time budget. A round without a usable answer is taken again; after a restart the input is put on the
 * board again. Throws DEVICE_FAILED where six commands in a row give nothing that can be used.
 */
export async function takeRounds(
  line: MlperfTinyLine,
  input: Uint8Array,
  protocol: Protocol,
  options: RoundOptions,
): Promise<Rounds> {
  const { clock, onRound } = options;
  const started = clock.nowMs();
  const taker = new RoundTaker(line, input, options);
  await taker.prepare();
  const loadUs = (clock.nowMs() - started) * 1000;
  const first = await taker.take(1, firstMs);
  // The longer runs before the first round warm caches and clocks up; none of them counts.
  let us = first.latencyUs;
  let runs = 1;
  while (runs * us < leastUs && runs < mostRuns) {
    runs = Math.min(mostRuns, runs * growth, Math.ceil(leastUs / Math.max(us, 0.1)));
    us = (await taker.take(runs, growthMs(runs, us))).latencyUs;
  }
  taker.dropped.length = 0;
  const rng = Xoshiro128.fromSeed(1);
  const kept: number[] = [];
  let rawUs: Summary | undefined;
  let nextLook = protocol.minRounds;
  while (kept.length < protocol.maxRounds) {
    onRound?.(kept.length, protocol.maxRounds);
    kept.push((await taker.take(runs, growthMs(runs, us))).latencyUs);
    if (kept.length < nextLook) continue;
    rawUs = widened(summarise(kept, rng), runs);
    if (relativeHalfWidth(rawUs) <= protocol.ciHalfWidth || clock.nowMs() - started > protocol.maxMs) break;
    nextLook = Math.max(nextLook + 1, Math.floor(nextLook * lookGrowth));
  }
  return {
    loadUs,
    firstRunUs: first.latencyUs,
    rounds: [
      ...kept.map((latencyUs) => ({ latencyUs, kept: true })),
      ...taker.dropped.map((latencyUs) => ({ latencyUs, kept: false })),
    ],
    rawUs: widened(summarise(kept, rng), runs),
    runsPerRound: runs,
    outputs: taker.outputs.size,
    unusable: taker.unusable,
    restarts: taker.restarts,
  };
}

const growthMs = (runs: number, us: number): number => spareMs + (3 * runs * us) / 1000;

/** A mean of `runs` is known to the firmware's microsecond over `runs`, however equal the samples are. */
function widened(summary: Summary, runs: number): Summary {
  const grain = 1 / runs;
  return {
    ...summary,
    ciLow: Math.min(summary.ciLow, summary.median - grain),
    ciHigh: Math.max(summary.ciHigh, summary.median + grain),
  };
}

/**
 * Whether the firmware's time can be: no longer than from the command to its end as heard here, and no shorter than that
 * less what line and host explain.
 */
function fitsHost({ lapUs, heardUs, sentUs }: Inference, roundTripUs: number): boolean {
  const heard = heardUs - sentUs;
  const most = heard * (1 + clockTolerance) + 5000;
  const least = heard * (1 - clockTolerance) - hostSlackUs - 2 * roundTripUs;
  return lapUs <= most && lapUs >= least;
}

class RoundTaker {
  readonly outputs = new Set<string>();
  /** Latencies that were read and not used. */
  readonly dropped: number[] = [];
  unusable = 0;
  restarts = 0;
  #untimed = 0;
  #reload = false;

  constructor(
    readonly line: MlperfTinyLine,
    readonly input: Uint8Array,
    readonly options: RoundOptions,
  ) {}

  /** A board that is in step, with the input on it. */
  async prepare(): Promise<void> {
    await this.#persist(async () => {
      await this.line.synchronise(this.options);
      await this.line.load(this.input, this.options);
      return true;
    });
  }

  /** One usable time of `runs` inferences, or a few more where a command of so many is unanswered. */
  async take(runs: number, timeoutMs: number): Promise<{ readonly latencyUs: number }> {
    return this.#persist(async () => {
      if (this.#reload) await this.line.load(this.input, this.options);
      this.#reload = false;
      const inference = await this.line.infer(this.line.unusedRuns(runs), this.options, timeoutMs);
      const latencyUs = inference.lapUs / inference.runs;
      if (fitsHost(inference, this.line.roundTripUs) && (await this.#confirmed(inference.results)))
        return { latencyUs };
      this.dropped.push(latencyUs);
      return undefined;
    });
  }

  /** Outputs that differ from the former ones are asked for again: the line damaged them, or the board gives two. */
  async #confirmed(results: string): Promise<boolean> {
    if (this.outputs.has(results)) return true;
    const again = await this.line.results(this.options);
    if (again === results) this.outputs.add(results);
    return again === results;
  }

  async #persist<T>(work: () => Promise<T | undefined>): Promise<T> {
    let last: unknown;
    for (let failed = 0; failed < mostInARow; failed++) {
      try {
        const done = await work();
        if (done !== undefined) return done;
        last = new HildaError(
          'DEVICE_FAILED',
          `the times that the firmware gives do not fit this host's clock: ${this.dropped.at(-1)?.toFixed(1)} us an inference`,
          { hint: 'The line loses or damages answers, or the firmware counts in another unit.' },
        );
      } catch (error) {
        if (!isTrouble(error)) throw error;
        last = error;
        await this.#recover(error);
      }
      this.unusable++;
      this.options.onWait?.();
    }
    throw last;
  }

  async #recover(error: HildaError): Promise<void> {
    if (error.details.line === 'untimed' && ++this.#untimed > 1) throw error;
    if (error.details.line === 'restarted') this.restarts++;
    await this.line.synchronise(this.options);
    // A board may have started anew without a word: its input is gone then.
    this.#reload = error.details.line !== 'damaged';
  }
}
