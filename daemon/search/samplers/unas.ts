import { z } from 'zod';
import { randomInt } from '../../core/rng.js';
import type { AskContext, Trial } from './contract.js';
import { count, definePlugin, memoryless, proposeUnseen } from './plugin.js';

/** Ratios beyond this count alike (uNAS, search_algorithms/aging_evolution.py). */
const ratioCap = 10;

/**
 * uNAS (Liberis, Dudziak and Lane, EuroMLSys 2021, section 4): aging evolution whose parent minimises, over a random
 * sample of the population, max_i (metric_i / bound_i) / lambda_i with lambda drawn uniformly anew for every proposal.
 * Every limit and objective takes part, none has a weight to tune, and the draws spread the parents along the front.
 * A metric without a limit is bounded by its median in the population; a maximised share of 1 enters as 1 - share,
 * any other maximised metric as its distance from the best.
 */
export const unas = definePlugin({
  name: 'unas',
  options: z.strictObject({ population: count(100), sample: count(25) }),
  create: ({ population: size, sample }) =>
    memoryless('unas', [], (n, context) => {
      const { space, rng, history } = context;
      const population = history.slice(-size);
      const ratios = boundRatios(context, population);
      return proposeUnseen(
        n,
        context,
        () => {
          const lambdas = ratios[0]?.map(() => 1 - rng.next()) ?? [];
          let parent = randomInt(rng, population.length);
          let best = Number.POSITIVE_INFINITY;
          for (let i = 0; i < sample; i++) {
            const at = randomInt(rng, population.length);
            const worst = (ratios[at] as number[]).reduce(
              (most, r, k) => Math.max(most, r / (lambdas[k] as number)),
              0,
            );
            if (worst < best) [best, parent] = [worst, at];
          }
          const { architecture, number } = population[parent] as Trial;
          return { architecture: space.mutate(architecture, rng), note: `mutation of ${number}` };
        },
        { initial: Math.min(size, Math.max(20, 2 * n)) },
      );
    }),
});

/** metric / bound of every objective and limit, by trial; the cap where a value is missing. */
export function boundRatios({ objectives, constraints }: AskContext, trials: readonly Trial[]): number[][] {
  const limits = new Map(constraints.map(({ metric, max }) => [metric, max]));
  const parts = [
    ...objectives,
    ...constraints
      .filter(({ metric }) => !objectives.some((o) => o.metric === metric))
      .map(({ metric }) => ({ metric, goal: 'min' as const })),
  ];
  const columns = parts.map(({ metric, goal }) => {
    const values = trials.map((trial) => (trial.state === 'failed' ? undefined : trial.values[metric]));
    const known = values.filter((value) => value !== undefined).sort((a, b) => a - b);
    const top = known.at(-1) ?? 1;
    const ceiling = top <= 1 ? 1 : top + 0.05 * (top - (known[0] as number)) + 1e-9;
    const costs = values.map((value) => (value === undefined || goal === 'min' ? value : ceiling - value));
    const sorted = costs.filter((cost) => cost !== undefined).sort((a, b) => a - b);
    const bound = limits.get(metric) ?? sorted[sorted.length >> 1] ?? 1;
    return costs.map((cost) =>
      cost === undefined ? ratioCap : Math.min(ratioCap, Math.max(0, cost / Math.max(bound, 1e-12))),
    );
  });
  return trials.map((_, i) => columns.map((column) => column[i] as number));
}
