import { gaussian, type Rng, randomInt } from '../core/rng.js';

/** A network that could be measured next. All costs: the smaller the better (negate a quality). */
export interface ActiveCandidate {
  /** Predicted costs, one an objective, with their 90 % intervals; a known value has low = high. */
  readonly costs: readonly { readonly mean: number; readonly low: number; readonly high: number }[];
}

export type ActiveReason = 'front' | 'uncertain' | 'audit';

export interface ActiveChoice {
  readonly index: number;
  readonly reason: ActiveReason;
}

export interface ActiveOptions {
  /** Share of the choices spent on those most likely to lie on the front. */
  readonly frontShare: number;
  /** Share drawn at random, so that a wrong predictor is found out. */
  readonly auditShare: number;
  /** Draws from the predictions, for the probability of lying on the front. */
  readonly draws: number;
  /** The candidates whose measurement would tell most, best first; default: by the width of their intervals. */
  readonly uncertain?: readonly number[];
}

const defaultActive: ActiveOptions = { frontShare: 0.5, auditShare: 0.1, draws: 24 };

/** Half the width of a 90 % interval, in standard deviations of a normal distribution. */
const halfWidthDeviations = 1.6449;

/**
 * Which networks to measure next: those most likely to lie on the front, those whose predictions are least certain, and
 * a random audit. Nothing is chosen twice.
 */
export function chooseNext(
  candidates: readonly ActiveCandidate[],
  measured: readonly (readonly number[])[],
  n: number,
  rng: Rng,
  options: ActiveOptions = defaultActive,
): ActiveChoice[] {
  const wanted = Math.min(n, candidates.length);
  const audits = Math.round(wanted * options.auditShare);
  const fronts = Math.min(wanted - audits, Math.round(wanted * options.frontShare));
  const chosen = new Map<number, ActiveReason>();
  const take = (order: readonly number[], count: number, reason: ActiveReason): void => {
    let left = count;
    for (const index of order) {
      if (left === 0) return;
      if (chosen.has(index)) continue;
      chosen.set(index, reason);
      left--;
    }
  };
  const probability = frontProbabilities(candidates, measured, rng, options.draws);
  const byProbability = indices(candidates.length).sort(
    (a, b) => (probability[b] as number) - (probability[a] as number),
  );
  take(byProbability, fronts, 'front');
  const width = candidates.map(({ costs }) =>
    costs.reduce((sum, { low, high, mean }) => sum + (high - low) / Math.max(Math.abs(mean), 1e-12), 0),
  );
  const byWidth = indices(candidates.length).sort((a, b) => (width[b] as number) - (width[a] as number));
  take([...(options.uncertain ?? []), ...byWidth], wanted - audits - fronts, 'uncertain');
  while (chosen.size < wanted) {
    const index = randomInt(rng, candidates.length);
    if (!chosen.has(index)) chosen.set(index, 'audit');
  }
  return [...chosen].map(([index, reason]) => ({ index, reason }));
}

/**
 * The share of draws from its predictions in which a candidate is dominated neither by a measured network nor by another
 * candidate's draw.
 */
export function frontProbabilities(
  candidates: readonly ActiveCandidate[],
  measured: readonly (readonly number[])[],
  rng: Rng,
  draws: number,
): Float64Array {
  const out = new Float64Array(candidates.length);
  for (let draw = 0; draw < draws; draw++) {
    const points = candidates.map(({ costs }) =>
      costs.map(({ mean, low, high }) =>
        high > low ? mean + ((high - low) / (2 * halfWidthDeviations)) * gaussian(rng) : mean,
      ),
    );
    const front = nonDominated([...points, ...measured]);
    points.forEach((point, i) => {
      if (front.has(point)) out[i] = (out[i] as number) + 1;
    });
  }
  return out.map((count) => count / draws);
}

/** Sorted by the first cost, a point can be dominated only by an earlier one: the front so far is enough to ask. */
function nonDominated(points: readonly (readonly number[])[]): Set<readonly number[]> {
  const order = [...points].sort((a, b) => {
    const k = a.findIndex((value, i) => value !== b[i]);
    return k < 0 ? 0 : (a[k] as number) - (b[k] as number);
  });
  const front: (readonly number[])[] = [];
  for (const point of order) {
    const dominated = front.some((other) => other.every((value, i) => value <= (point[i] as number)));
    if (!dominated) front.push(point);
  }
  return new Set(front);
}

const indices = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
