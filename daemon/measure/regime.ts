import type { Measurement } from '../core/measurement.js';
import { mixed } from './mixture.js';
import { median } from './statistics.js';

/**
 * The regime a machine is in: a busy neighbour on the same core, a lower clock. It shows in the references' levels. The
 * ratio to them cancels most of it, but no network slows by exactly the same factor.
 */

/** How long the references take where nothing disturbs the machine, microseconds: the fastest sessions seen. */
export interface Undisturbed {
  readonly convolutionUs: number;
  readonly transformerUs: number;
}

/**
 * How far a network's sensitivity lies from that of the level it is compared with, as a standard deviation. Eleven networks
 * on a virtual machine whose references slowed 1.27 and 1.42 times lay between 0.71 and 1.44 of their level's.
 */
const sensitivityDeviation = 0.22;

/** Median levels of both references in one session; null where only one stood beside. */
function levelsOf({ rounds, latency }: Measurement): Undisturbed | null {
  if (typeof latency?.convolutionWeight !== 'number') return null;
  const kept = rounds.filter((round) => round.kept);
  if (kept.length === 0) return null;
  return {
    convolutionUs: median(kept.map((round) => round.referenceBeforeUs)),
    transformerUs: median(kept.map((round) => round.referenceAfterUs)),
  };
}

/** Slower than any machine gets faster again by chance: the floor follows a machine that stays slow, 1 % a session. */
const floorDrift = 1.01;

/** The undisturbed levels after another session: they fall at once, and rise slowly. */
export function learnUndisturbed(known: Undisturbed | null, taken: Measurement): Undisturbed | null {
  const levels = levelsOf(taken);
  if (levels === null) return known;
  if (known === null) return levels;
  const next = (before: number, now: number): number => Math.min(now, before * floorDrift);
  return {
    convolutionUs: next(known.convolutionUs, levels.convolutionUs),
    transformerUs: next(known.transformerUs, levels.transformerUs),
  };
}

/**
 * The standard deviation, of the logarithm, that a session's regime adds: its sensitivity times how far the level that it
 * was compared with was off. 0 where the device holds one reference.
 */
export function regimeDeviation(taken: Measurement, undisturbed: Undisturbed | null): number {
  const levels = levelsOf(taken);
  const weight = taken.latency?.convolutionWeight;
  if (levels === null || undisturbed === null || typeof weight !== 'number') return 0;
  const off = Math.log(
    mixed(levels.convolutionUs, levels.transformerUs, weight) /
      mixed(undisturbed.convolutionUs, undisturbed.transformerUs, weight),
  );
  return sensitivityDeviation * Math.abs(off);
}
