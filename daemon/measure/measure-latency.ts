import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { Round, Summary } from '../core/measurement.js';
import type { Rng } from '../core/rng.js';
import type { Protocol } from './protocol.js';
import type { RoundRunner } from './round-runner.js';
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
 * reproduces where raw times do not. Each leg counts with the median of its runs after the first: the first finds the
 * other network's data in the caches and would bias the raw latency against running alone.
 */
export async function measureLatency(
  runner: RoundRunner,
  given: Protocol,
  options: LatencyOptions,
): Promise<LatencyRun> {
  const { clock, rng, signal, onRound, expectedUs = 0 } = options;
  const protocol = affordable(given, expectedUs);
  const startUs = clock.monotonicUs();
  const warm = await warmUp(runner, protocol, { clock, signal });
  const roundsStartUs = clock.monotonicUs();
  const rounds: Round[] = [];
  const keptRatios: number[] = [];
  let stoppedBy: LatencyRun['stoppedBy'] = 'rounds';
  let nextLook = protocol.minRounds;
  while (rounds.length < protocol.maxRounds) {
    if (signal.aborted)
      throw new HildaError('INTERRUPTED', 'the measurement was aborted', { cause: signal.reason });
    const round = await takeRound(runner, protocol, signal);
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

function affordable(protocol: Protocol, expectedUs: number): Protocol {
  const runs = Math.max(1, Math.floor((protocol.maxMs * 1000) / protocol.minRounds / expectedUs));
  return {
    ...protocol,
    runsPerLeg: Math.min(protocol.runsPerLeg, runs),
    warmupBlock: Math.min(protocol.warmupBlock, runs),
  };
}

export const referenceOf = (round: Round): number => (round.referenceBeforeUs + round.referenceAfterUs) / 2;

export const ratioOf = (round: Round): number => round.candidateUs / referenceOf(round);

async function takeRound(runner: RoundRunner, protocol: Protocol, signal: AbortSignal): Promise<Round> {
  const { runsPerLeg: runs, referenceTolerance } = protocol;
  const { samplesUs, lostShare } = await runner.time(
    [
      { network: 'reference', runs },
      { network: 'candidate', runs },
      { network: 'reference', runs },
    ],
    { signal },
  );
  const [referenceBeforeUs, candidateUs, referenceAfterUs] = samplesUs.map(legUs) as [number, number, number];
  const apart =
    Math.abs(referenceBeforeUs - referenceAfterUs) / Math.min(referenceBeforeUs, referenceAfterUs);
  const kept = apart <= referenceTolerance && (lostShare ?? 0) <= lostShareLimit;
  return { referenceBeforeUs, candidateUs, referenceAfterUs, kept };
}

/** One value for a leg: the median of its runs after the first, which had to fill the caches. */
const legUs = (samplesUs: Float64Array): number =>
  median(samplesUs.length > 1 ? samplesUs.subarray(1) : samplesUs);

function tightEnough(ratios: readonly number[], halfWidth: number, rng: Rng): boolean {
  const [low, high] = bootstrapMedianInterval(ratios, rng, 200);
  return (high - low) / 2 <= halfWidth * median(ratios);
}
