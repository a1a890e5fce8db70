import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { Round, Summary } from '../core/measurement.js';
import type { Rng } from '../core/rng.js';
import type { Protocol } from './protocol.js';
import type { RoundLeg, RoundRunner } from './round-runner.js';
import { bootstrapMedianInterval, median, summarise } from './statistics.js';
import { type WarmUp, warmUp } from './warm-up.js';

/** Above this share of a round lost to other work, its times say more about the machine than about the network. */
export const lostShareLimit = 0.2;

export interface LatencyRun {
  readonly rounds: readonly Round[];
  readonly kept: number;
  readonly warmUp: WarmUp;
  /** Over the kept rounds; over all of them when too few were kept to speak of, and the verdict says so. */
  readonly rawUs: Summary;
  readonly ratio: Summary;
  readonly referenceUs: Summary;
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
  readonly onRound?: (kept: number, total: number) => void;
}

/**
 * Takes rounds of reference, candidate, reference until the interval of the median ratio is tight enough, the rounds
 * are used up, or the budget ends. Regimes of a shared machine last longer than a round, so the ratio within a round
 * reproduces where raw times do not. Each leg counts with the median of its runs after the first quarter: those find the
 * other network's data in the caches and would bias the raw latency against running alone.
 */
export async function measureLatency(
  runner: RoundRunner,
  protocol: Protocol,
  options: LatencyOptions,
): Promise<LatencyRun> {
  const { clock, rng, signal, onRound, expectedUs } = options;
  const warmUpProtocol =
    expectedUs === undefined
      ? protocol
      : { ...protocol, warmupBlock: Math.min(protocol.warmupBlock, affordableRuns(protocol, expectedUs)) };
  const startUs = clock.monotonicUs();
  const warm = await warmUp(runner, warmUpProtocol, { clock, signal });
  const legs = roundLegs(protocol, warm);
  const roundsStartUs = clock.monotonicUs();
  const rounds: Round[] = [];
  const keptRatios: number[] = [];
  let stoppedBy: LatencyRun['stoppedBy'] = 'rounds';
  let nextLook = protocol.minRounds;
  while (rounds.length < protocol.maxRounds) {
    if (signal.aborted)
      throw new HildaError('INTERRUPTED', 'the measurement was aborted', { cause: signal.reason });
    const round = await takeRound(runner, legs, protocol.referenceTolerance, signal);
    rounds.push(round);
    if (round.kept) keptRatios.push(ratioOf(round));
    onRound?.(keptRatios.length, rounds.length);
    if (round.kept && keptRatios.length >= nextLook) {
      if (tightEnough(keptRatios, protocol.ciHalfWidth, rng)) {
        stoppedBy = 'interval';
        break;
      }
      // The interval shrinks with the square root of the rounds: looking after each one would only cost time.
      nextLook = Math.ceil(keptRatios.length * 1.1);
    }
    if ((clock.monotonicUs() - roundsStartUs) / 1000 >= protocol.maxMs && rounds.length >= 3) {
      stoppedBy = 'budget';
      break;
    }
  }
  const kept = rounds.filter((round) => round.kept);
  const told = kept.length >= 3 ? kept : rounds;
  return {
    rounds,
    kept: kept.length,
    warmUp: warm,
    rawUs: summarise(
      told.map((round) => round.candidateUs),
      rng,
    ),
    ratio: summarise(told.map(ratioOf), rng),
    referenceUs: summarise(told.map(referenceOf), rng),
    stoppedBy,
    durationMs: (clock.monotonicUs() - startUs) / 1000,
  };
}

/** A leg of this length lets the caches forget the other network; shorter ones read small networks 15 % too slow. */
const leastLegUs = 5000;
const mostRunsPerLeg = 40;

/** More runs a leg than the protocol's where it would end before it settled, fewer where the budget forbids. */
function legRuns(protocol: Protocol, expectedUs: number): number {
  const settling = Math.min(mostRunsPerLeg, Math.ceil(leastLegUs / expectedUs));
  return Math.min(affordableRuns(protocol, expectedUs), Math.max(protocol.runsPerLeg, settling));
}

/** How many runs in a row leave room for the least number of rounds. */
const affordableRuns = ({ maxMs, minRounds }: Protocol, expectedUs: number): number =>
  Math.max(1, Math.floor((maxMs * 1000) / minRounds / expectedUs));

export const referenceOf = (round: Round): number => (round.referenceBeforeUs + round.referenceAfterUs) / 2;

export const ratioOf = (round: Round): number => round.candidateUs / referenceOf(round);

function roundLegs(protocol: Protocol, { referenceUs, candidateUs }: WarmUp): readonly RoundLeg[] {
  const reference = { network: 'reference', runs: legRuns(protocol, referenceUs) } as const;
  return [reference, { network: 'candidate', runs: legRuns(protocol, candidateUs) }, reference];
}

async function takeRound(
  runner: RoundRunner,
  legs: readonly RoundLeg[],
  referenceTolerance: number,
  signal: AbortSignal,
): Promise<Round> {
  const { samplesUs, lostShare } = await runner.time(legs, { signal });
  const [referenceBeforeUs, candidateUs, referenceAfterUs] = samplesUs.map(legUs) as [number, number, number];
  const apart =
    Math.abs(referenceBeforeUs - referenceAfterUs) / Math.min(referenceBeforeUs, referenceAfterUs);
  const kept = apart <= referenceTolerance && (lostShare ?? 0) <= lostShareLimit;
  return { referenceBeforeUs, candidateUs, referenceAfterUs, kept };
}

/** One value for a leg: the median of its runs after the first quarter, which had to fill the caches. */
const legUs = (samplesUs: Float64Array): number =>
  median(samplesUs.length > 1 ? samplesUs.subarray(Math.ceil(samplesUs.length / 4)) : samplesUs);

function tightEnough(ratios: readonly number[], halfWidth: number, rng: Rng): boolean {
  const [low, high] = bootstrapMedianInterval(ratios, rng, 200);
  return (high - low) / 2 <= halfWidth * median(ratios);
}
