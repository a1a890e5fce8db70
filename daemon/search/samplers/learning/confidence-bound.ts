import type { Rng } from '../../../core/rng.js';
import type { Constraint, Objective, Trial } from '../contract.js';
import { normalScores } from './bayesian-linear.js';
import { GaussianEnsemble } from './gaussian-ensemble.js';

/** The authors' k: deviations added to a mean. */
const deviationsAdded = 0.5;
/** What one standard deviation beyond a limit costs: more than any objective's normal score can make up for. */
const penalty = 10;
/** Adam steps of a fit, for any number of trials: a proposal late in a study costs what an early one does. */
const trainingSteps = 150;
/** Normal scores lie within 4 of 0. */
const largestScore = 4;

/** What is maximised over relaxed inputs. */
export interface Acquisition {
  value(x: Float64Array): number;
  gradient(x: Float64Array): Float64Array;
}

export interface ConfidenceBound {
  /**
   * Upper confidence bound of the objectives, less a penalty where a limit is broken even with the benefit of the same
   * doubt. `weights`: one an objective, in (0, 1]; the least of several weighted ones counts (Knowles 2006).
   */
  acquisition(weights: readonly number[]): Acquisition;
  /** Standard deviations of the objectives, summed. */
  deviation(x: Float64Array): number;
}

interface Task {
  readonly objectives: readonly Objective[];
  readonly constraints: readonly Constraint[];
}

/**
 * Learns every objective and every limit as a target of its own. An objective is learnt from the trials that have it, so
 * that trials beyond a limit, of which only the cost is known, teach the cost instead of blurring the objective.
 */
export function fitConfidenceBound(
  { objectives, constraints }: Task,
  trials: readonly Trial[],
  x: readonly Float64Array[],
  size: { readonly members: number; readonly hidden: number },
  rng: Rng,
): ConfidenceBound {
  const scores = objectives.map((objective) => objectiveScores(trials, objective));
  const limits = constraints.map((constraint) => standardised(trials, constraint));
  const columns = [...scores, ...limits.map(({ values }) => values)];
  const y = trials.map((_, i) => columns.map((column) => column[i] as number));
  const ensemble = new GaussianEnsemble(x, y, { ...size, steps: trainingSteps }, rng);
  const count = objectives.length;

  /** Derivatives of the acquisition by every target's mean; those by its deviation are `deviationsAdded` times as large. */
  const slopes = (bounds: Float64Array, weights: readonly number[]) => {
    const byBound = new Float64Array(columns.length);
    let value = Number.POSITIVE_INFINITY;
    let least = 0;
    for (let t = 0; t < count; t++) {
      const weighted =
        count === 1 ? (bounds[t] as number) : ((bounds[t] as number) - largestScore) / (weights[t] as number);
      if (weighted < value) [value, least] = [weighted, t];
    }
    byBound[least] = count === 1 ? 1 : 1 / (weights[least] as number);
    limits.forEach(({ limit }, l) => {
      const slack = (bounds[count + l] as number) + limit;
      if (slack >= 0) return;
      value += penalty * slack;
      byBound[count + l] = penalty;
    });
    return { value, byBound };
  };
  const boundsAt = (input: Float64Array) => {
    const belief = ensemble.at(input);
    const bounds = belief.means.map((mean, t) => mean + deviationsAdded * (belief.deviations[t] as number));
    return { belief, bounds };
  };
  return {
    acquisition: (weights) => ({
      value: (input) => slopes(boundsAt(input).bounds, weights).value,
      gradient(input) {
        const { belief, bounds } = boundsAt(input);
        const { byBound } = slopes(bounds, weights);
        return belief.gradient(
          byBound,
          byBound.map((slope) => deviationsAdded * slope),
        );
      },
    }),
    deviation(input) {
      const { deviations } = ensemble.at(input);
      return deviations.subarray(0, count).reduce((a, b) => a + b, 0);
    },
  };
}

/** Larger is better. A failed trial has the lowest score; one whose value is not known has none (NaN). */
function objectiveScores(trials: readonly Trial[], { metric, goal }: Objective): number[] {
  const sign = goal === 'max' ? 1 : -1;
  const raw = trials.map(({ values, state }) => {
    const value = values[metric];
    if (value !== undefined && Number.isFinite(value)) return sign * value;
    return state === 'failed' ? -Number.MAX_VALUE : Number.NaN;
  });
  const ranks = normalScores(raw.filter((value) => !Number.isNaN(value)));
  let next = 0;
  return raw.map((value) => (Number.isNaN(value) ? value : (ranks[next++] as number)));
}

interface Limit {
  /** Logarithms of the cost, negated, in standard deviations from their mean; NaN where unknown. */
  readonly values: readonly number[];
  /** On the same scale, not negated: `values + limit >= 0` keeps it. */
  readonly limit: number;
}

function standardised(trials: readonly Trial[], { metric, max }: Constraint): Limit {
  const log = (value: number): number => Math.log(Math.max(value, 1e-12));
  const logs = trials.map(({ values }) => {
    const value = values[metric];
    return value !== undefined && Number.isFinite(value) ? log(value) : Number.NaN;
  });
  const known = logs.filter((value) => !Number.isNaN(value));
  const mean = known.reduce((a, b) => a + b, 0) / Math.max(1, known.length);
  const variance = known.reduce((sum, value) => sum + (value - mean) ** 2, 0) / Math.max(1, known.length);
  const deviation = Math.sqrt(variance) || 1;
  return { values: logs.map((value) => (mean - value) / deviation), limit: (log(max) - mean) / deviation };
}
