import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { Round, Summary } from '../core/measurement.js';
import type { Rng } from '../core/rng.js';
import { estimateWeight, mixed } from './mixture.js';
import type { Protocol } from './protocol.js';
import type { RoundLeg, RoundRunner } from './round-runner.js';
import { atTail, median, relativeHalfWidth, summarise } from './statistics.js';
import { type WarmUp, warmUp } from './warm-up.js';

/** Above this share of a round lost to other work, its times say more about the machine than about the network. */
const lostShareLimit = 0.2;

export interface LatencyRun {
  readonly rounds: readonly Round[];
  readonly kept: number;
  readonly warmUp: WarmUp;
  /** Of the first reference in the level that the candidate is compared with; null where the device holds one. */
  readonly weight: number | null;
  /** Over the kept rounds; over all of them when too few were kept to speak of, and the verdict says so. */
  readonly rawUs: Summary;
  /** Its interval holds at 95 % although the loop looked at it repeatedly. */
  readonly ratio: Summary;
  /** Half the 95 % interval of the ratio over its median, as the last look saw it: what the protocol's bound is for. */
  readonly ratioHalfWidth: number;
  readonly referenceUs: Summary;
  /** Of each kept round, in order. */
  readonly keptRatios: readonly number[];
  readonly keptReferencesUs: readonly number[];
  readonly stoppedBy: 'interval' | 'rounds' | 'budget';
  readonly durationMs: number;
}

export interface LatencyOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly signal: AbortSignal;
  /**
   * Rough time of one inference, e.g. the first run's. Networks so slow that the budget would not hold the least number
   * of rounds get shorter legs.
   */
  readonly expectedUs?: number;
  /** Where both references stand beside: how much the network is like the first one (`priorWeight`); 1 by default. */
  readonly likeFirst?: number;
  readonly onRound?: (kept: number, total: number) => void;
}

/**
 * Takes rounds of reference, candidate, reference until the interval of the median ratio is tight enough, the rounds
 * are used up, or the budget ends. Regimes of a shared machine last longer than a round, so the ratio within a round
 * reproduces where raw times do not. Each leg counts with the mean of its runs after the first quarter: those find the
 * other network's data in the caches and would bias the raw latency against running alone.
 */
export async function measureLatency(
  runner: RoundRunner,
  protocol: Protocol,
  options: LatencyOptions,
): Promise<LatencyRun> {
  const { clock, rng, signal, onRound, expectedUs, likeFirst = 1 } = options;
  const warmUpProtocol =
    expectedUs === undefined
      ? protocol
      : { ...protocol, warmupBlock: Math.min(protocol.warmupBlock, affordableRuns(protocol, expectedUs)) };
  const startUs = clock.monotonicUs();
  const warm = await warmUp(runner, warmUpProtocol, { clock, signal });
  const legs = roundLegs(protocol, warm);
  const roundsStartUs = clock.monotonicUs();
  const rounds: Round[] = [];
  const weightNow = (): number | null =>
    runner.holdsBoth
      ? estimateWeight(
          rounds.filter((round) => round.kept),
          likeFirst,
        )
      : null;
  let kept = 0;
  let look = 0;
  let stoppedBy: LatencyRun['stoppedBy'] = 'rounds';
  /** What the loop stopped at; the final summary draws anew and may come out a little wider. */
  let seenHalfWidth: number | null = null;
  let nextLook = protocol.minRounds;
  while (rounds.length < protocol.maxRounds) {
    if (signal.aborted)
      throw new HildaError('INTERRUPTED', 'the measurement was aborted', { cause: signal.reason });
    const round = await takeRound(runner, legs, { protocol, signal, before: rounds.at(-1) });
    rounds.push(round);
    if (round.kept) kept++;
    onRound?.(kept, rounds.length);
    if (round.kept && kept >= nextLook) {
      const ratios = ratiosOf(rounds, weightNow());
      const halfWidth = relativeHalfWidth(summarise(ratios, rng, 200));
      if (halfWidth <= protocol.ciHalfWidth) {
        seenHalfWidth = halfWidth;
        stoppedBy = 'interval';
        break;
      }
      look++;
      nextLook = Math.ceil(kept * lookGrowth);
    }
    if ((clock.monotonicUs() - roundsStartUs) / 1000 >= protocol.maxMs && rounds.length >= 3) {
      stoppedBy = 'budget';
      break;
    }
  }
  const weight = weightNow();
  const keptRounds = rounds.filter((round) => round.kept);
  const told = keptRounds.length >= 3 ? keptRounds : rounds;
  const ratio = summarise(
    told.map((round) => ratioOf(round, weight)),
    rng,
  );
  return {
    rounds,
    kept,
    warmUp: warm,
    weight,
    rawUs: summarise(
      told.map((round) => round.candidateUs),
      rng,
    ),
    ratio: atTail(ratio, tailAt(look)),
    ratioHalfWidth: seenHalfWidth ?? relativeHalfWidth(ratio),
    referenceUs: summarise(
      told.map((round) => referenceOf(round, weight)),
      rng,
    ),
    keptRatios: ratiosOf(rounds, weight),
    keptReferencesUs: keptRounds.map((round) => referenceOf(round, weight)),
    stoppedBy,
    durationMs: (clock.monotonicUs() - startUs) / 1000,
  };
}

/** The interval shrinks with the square root of the rounds: looking after each one would only cost time. */
const lookGrowth = 1.6;

/**
 * What the interval at the n-th look leaves out. The tails of all looks sum to 5 % (Bonferroni), so that the interval of a
 * loop which stops when it likes still covers at 95 %; the first look, where most networks stop, gets the most.
 */
const tailAt = (look: number): number => 0.03 * 0.4 ** look;

/** A leg of this length lets the caches forget the other network; shorter ones read small networks 15 % too slow. */
export const leastLegUs = 5000;
const mostRunsPerLeg = 40;

/**
 * A candidate behind two other networks settles for this long, and no more than so many runs. On a virtual machine (EPYC), runs
 * of a transformer of 1.3 ms lay 30, 12, 7, 3, 3 and 2 % above those that followed; one of 0.27 ms settled after six runs.
 */
const settling = { us: 7000, runs: 6 };

/** More runs a leg than the protocol's where it would end before it settled, fewer where the budget forbids. */
function legRuns(protocol: Protocol, expectedUs: number): number {
  const settling = Math.min(mostRunsPerLeg, Math.ceil(leastLegUs / expectedUs));
  return Math.min(affordableRuns(protocol, expectedUs), Math.max(protocol.runsPerLeg, settling));
}

/** How many runs in a row leave room for the least number of rounds. */
const affordableRuns = ({ maxMs, minRounds }: Protocol, expectedUs: number): number =>
  Math.max(1, Math.floor((maxMs * 1000) / minRounds / expectedUs));

/** The level that a round's candidate is compared with: the mean of one reference's two legs, or the mixture of both. */
const referenceOf = (round: Round, weight: number | null): number =>
  weight === null
    ? (round.referenceBeforeUs + round.referenceAfterUs) / 2
    : mixed(round.referenceBeforeUs, round.referenceAfterUs, weight);

const ratioOf = (round: Round, weight: number | null): number =>
  round.candidateUs / referenceOf(round, weight);

const ratiosOf = (rounds: readonly Round[], weight: number | null): number[] =>
  rounds.filter((round) => round.kept).map((round) => ratioOf(round, weight));

/** A leg of a round. Its first runs do not count: they find the other networks' data in the caches. */
interface TakenLeg extends RoundLeg {
  readonly uncounted: number;
}

const firstQuarter = (runs: number): number => (runs > 1 ? Math.ceil(runs / 4) : 0);

function roundLegs(protocol: Protocol, { referenceUs, candidateUs, secondUs }: WarmUp): readonly TakenLeg[] {
  const leg = (network: RoundLeg['network'], us: number): TakenLeg => {
    const runs = legRuns(protocol, us);
    return { network, runs, uncounted: firstQuarter(runs) };
  };
  const reference = leg('reference', referenceUs);
  const candidate =
    secondUs === null
      ? leg('candidate', candidateUs)
      : settledLeg(leg('candidate', candidateUs), protocol, candidateUs);
  const second = secondUs === null ? reference : leg('second', secondUs);
  return [reference, candidate, second];
}

/** As many runs count as before, behind those in which the network settles; fewer where the budget forbids. */
function settledLeg(leg: TakenLeg, protocol: Protocol, us: number): TakenLeg {
  const counted = leg.runs - leg.uncounted;
  const wanted = Math.max(leg.uncounted, Math.min(settling.runs, Math.ceil(settling.us / us)));
  const runs = Math.max(leg.runs, Math.min(affordableRuns(protocol, us), wanted + counted));
  return { ...leg, runs, uncounted: Math.min(wanted, runs - counted) };
}

interface RoundOptions {
  readonly protocol: Protocol;
  readonly signal: AbortSignal;
  readonly before: Round | undefined;
}

async function takeRound(
  runner: RoundRunner,
  legs: readonly TakenLeg[],
  { protocol: { referenceTolerance }, signal, before }: RoundOptions,
): Promise<Round> {
  const asked = legs.map(({ network, runs }) => ({ network, runs }));
  const { samplesUs, lostShare } = await runner.time(asked, { signal });
  const [referenceBeforeUs, candidateUs, referenceAfterUs] = samplesUs.map((samples, i) =>
    legUs(samples, legs[i]?.uncounted),
  ) as [number, number, number];
  // One reference is compared with itself within the round, two with the round before.
  const moves = runner.holdsBoth
    ? [
        apart(referenceBeforeUs, before?.referenceBeforeUs ?? referenceBeforeUs),
        apart(referenceAfterUs, before?.referenceAfterUs ?? referenceAfterUs),
      ]
    : [apart(referenceBeforeUs, referenceAfterUs)];
  const kept = Math.max(...moves) <= referenceTolerance && (lostShare ?? 0) <= lostShareLimit;
  return { referenceBeforeUs, candidateUs, referenceAfterUs, kept };
}

const apart = (a: number, b: number): number => Math.abs(a - b) / Math.min(a, b);

/**
 * One value for a leg: the mean of its runs after the first ones, a quarter of them by default, which had to fill the caches.
 * Not the median: timer interrupts hit some runs of a short network and all runs of a long one. A run beyond twice the median
 * was preempted, and counts as twice the median.
 */
export function legUs(samplesUs: Float64Array, uncounted = firstQuarter(samplesUs.length)): number {
  const settled = samplesUs.subarray(Math.min(uncounted, samplesUs.length - 1));
  const most = 2 * median(settled);
  return settled.reduce((sum, us) => sum + Math.min(us, most), 0) / settled.length;
}
