import type { Counts, Latency, OperatorCount, Round, Summary } from '../../core/measurement.js';
import { type Calibration, calibratedUs, type ReferenceName } from '../../measure/calibration.js';
import { median } from '../../measure/statistics.js';
import { clockOffOf } from './clock-off.js';
import type { SiliconRounds } from './silicon-rounds.js';
import { ticksSummary } from './silicon-verdict.js';

export interface TimesOptions {
  readonly ticksHz: number;
  /** How far the clock may be off, in millionths; null where the firmware does not say. */
  readonly clockPpm: number | null;
  readonly calibration: Calibration;
  readonly reference: ReferenceName;
}

/**
 * Latency from the cycle counter of a real board: cycles over its clock, and relative to the reference network that ran
 * before and after. The interval holds what the clock may be off by: no repetition shows that. Never called for an emulated
 * board.
 */
export function timesOf(
  { blocks, legs, loadUs, firstRunTicks }: SiliconRounds,
  { ticksHz, clockPpm, calibration, reference }: TimesOptions,
): { latency: Latency; rounds: Round[] } {
  const usOf = (ticks: number): number => (ticks * 1e6) / ticksHz;
  const legUs = legs.map(({ ticks }) => usOf(median(ticks)));
  const rounds = blocks.flatMap((block, b) =>
    block.map(({ total }) => ({
      referenceBeforeUs: legUs[b] as number,
      candidateUs: usOf(total),
      referenceAfterUs: legUs[b + 1] ?? (legUs[b] as number),
      kept: true,
    })),
  );
  const ticks = ticksSummary(blocks.flat().map(({ total }) => total));
  const rawUs = scaled(ticks, 1e6 / ticksHz);
  const referenceTicks = ticksSummary(legs.flatMap((leg) => leg.ticks));
  const ratio = over(ticks, referenceTicks);
  const unitUs = calibratedUs(calibration, reference);
  const off = clockOffOf(clockPpm);
  return {
    latency: {
      rawUs,
      ratio,
      normalisedUs: ratio.median * unitUs,
      normalisedCiUs: [ratio.ciLow * unitUs * (1 - off), ratio.ciHigh * unitUs * (1 + off)],
      clockOff: off,
      reference,
      loadUs,
      firstRunUs: usOf(firstRunTicks),
    },
    rounds,
  };
}

/** Medians of the rounds and their 95 % intervals, in total and by operator; whole ticks. */
export function centreOf({ blocks }: Pick<SiliconRounds, 'blocks'>): {
  readonly total: Pick<Counts, 'total' | 'totalCi'>;
  readonly operator: (i: number) => Pick<OperatorCount, 'count' | 'countCi'>;
} {
  const runs = blocks.flat();
  const total = ticksSummary(runs.map((run) => run.total));
  return {
    total: { total: Math.round(total.median), totalCi: [total.ciLow, total.ciHigh] },
    operator: (i) => {
      const summary = ticksSummary(runs.map(({ operators }) => operators[i] ?? 0));
      return { count: Math.round(summary.median), countCi: [summary.ciLow, summary.ciHigh] };
    },
  };
}

const scaled = ({ n, ...summary }: Summary, by: number): Summary => ({
  n,
  min: summary.min * by,
  median: summary.median * by,
  p90: summary.p90 * by,
  mad: summary.mad * by,
  ciLow: summary.ciLow * by,
  ciHigh: summary.ciHigh * by,
});

/** One summary over the median of another: the relative half-widths of both add up as independent errors do. */
function over(candidate: Summary, reference: Summary): Summary {
  const ratio = scaled(candidate, 1 / reference.median);
  const half = (of: Summary, end: number): number => Math.abs(end - of.median) / of.median;
  const low = Math.hypot(half(candidate, candidate.ciLow), half(reference, reference.ciHigh));
  const high = Math.hypot(half(candidate, candidate.ciHigh), half(reference, reference.ciLow));
  return { ...ratio, ciLow: ratio.median * (1 - low), ciHigh: ratio.median * (1 + high) };
}
