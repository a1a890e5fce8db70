import { BayesianLinear } from '../search/samplers/learning/bayesian-linear.js';
import type { BlockCosts } from './block-costs.js';

/** Accuracy as a constant plus a part for each layer's choice, a share of 1. */
export interface AdditiveAccuracy {
  readonly constant: number;
  readonly parts: readonly (readonly number[])[];
}

/**
 * What the choices of each layer add to accuracy, learnt from scored networks: the score of one network on 2,000 images errs
 * by more than such a network's choices differ by, the mean of many that share a choice by less. Choices seen seldom
 * count as average. Sums of parts stand for accuracy as in Molchanov et al. (LANA, 2022, equation 3).
 */
export function fitAdditive(
  scored: readonly { readonly architecture: readonly number[]; readonly accuracy: number }[],
  choices: readonly number[],
): AdditiveAccuracy {
  const offsets = choices.map((_, l) => 1 + choices.slice(0, l).reduce((a, b) => a + b, 0));
  const rows = scored.map(({ architecture }) => ({
    columns: Int32Array.from([0, ...architecture.map((choice, l) => (offsets[l] as number) + choice)]),
    values: new Float64Array(architecture.length + 1).fill(1),
  }));
  const mean = scored.reduce((sum, { accuracy }) => sum + accuracy, 0) / scored.length;
  const size = 1 + choices.reduce((a, b) => a + b, 0);
  const { weights } = BayesianLinear.fit(
    rows,
    scored.map(({ accuracy }) => accuracy - mean),
    size,
  );
  return {
    constant: mean + (weights[0] as number),
    parts: choices.map((n, l) => [...weights.subarray(offsets[l] as number, (offsets[l] as number) + n)]),
  };
}

export const additiveOf = ({ constant, parts }: AdditiveAccuracy, architecture: readonly number[]): number =>
  architecture.reduce((sum, choice, l) => sum + (parts[l]?.[choice] as number), constant);

/** Sums of accuracy are told apart by so much: far less than any set of images can tell. */
const grain = 1e-5;

/**
 * The architecture cheapest by a table among all whose additive accuracy is at least `level`: a knapsack, solved layer by
 * layer, of which only sums survive that no other beats in both. Undefined where none reaches the level.
 */
export function cheapestAtLevel(
  accuracy: AdditiveAccuracy,
  { layers }: BlockCosts,
  level: number,
): readonly number[] | undefined {
  interface Sum {
    readonly cost: number;
    readonly accuracy: number;
    readonly last: number;
    readonly before: Sum | undefined;
  }
  const none: Sum = { cost: 0, accuracy: accuracy.constant, last: -1, before: undefined };
  let sums: Sum[] = [none];
  for (const [l, costs] of layers.entries()) {
    const longer = sums.flatMap((before) =>
      costs.map(
        (cost, last): Sum => ({
          cost: before.cost + cost,
          accuracy: before.accuracy + (accuracy.parts[l]?.[last] as number),
          last,
          before,
        }),
      ),
    );
    longer.sort((a, b) => a.cost - b.cost || b.accuracy - a.accuracy);
    let best = Number.NEGATIVE_INFINITY;
    sums = longer.filter((sum) => {
      if (sum.accuracy < best + grain) return false;
      best = sum.accuracy;
      return true;
    });
  }
  // Cheapest first.
  const found = sums.find((sum) => sum.accuracy >= level - grain);
  if (!found) return undefined;
  const choices: number[] = [];
  for (let at: Sum | undefined = found; at?.before; at = at.before) choices.unshift(at.last);
  return choices;
}
