import { z } from 'zod';
import type { Architecture } from '../../core/architecture.js';
import { drawIndex, randomInt } from '../../core/rng.js';
import { spearman } from '../../predict/statistics.js';
import type { Space } from '../spaces/contract.js';
import type { AskContext, EarlierStudy } from './contract.js';
import { MetricModel } from './learning/metric-model.js';
import { vocabularyOf } from './learning/vocabulary.js';
import { count, definePlugin, indicesOf, memoryless, normalised, proposeUnseen, share } from './plugin.js';
import { bestArchitectures, bestFirst } from './rank.js';
import { RegularizedEvolutionSampler } from './regularized-evolution.js';

/** Probability of each choice, by decision. */
export type Prior = readonly (readonly number[])[];

/**
 * AutoTransfer (Cao, You, Liu and Leskovec, ICLR 2023, section 3.3): the best 16 trials of each of the 3 nearest earlier
 * studies give the frequency of every choice, weighted by one over the study's distance, and that prior feeds an
 * otherwise unchanged strategy. The authors embed a task by the Fisher information of 12 anchor networks; here a task
 * is a device and its data, and the distance is one less Spearman's correlation between what an earlier study's model
 * says of our trials and what we measured. Until eight trials are told all studies are equally near.
 */
export const transferPrior = definePlugin({
  name: 'transfer-prior',
  options: z.strictObject({
    nearest: count(3),
    top: count(16),
    /** Share of mutations that redraw a decision from the prior instead of uniformly. */
    priorShare: share(0.7),
    population: count(50),
    tournament: count(10),
  }),
  create: ({ nearest, top, priorShare, population, tournament }) => {
    const strategy = new RegularizedEvolutionSampler({ population, tournament });
    return memoryless('transfer-prior', ['dims'], (n, context) => {
      const near = nearestStudies(context, nearest);
      if (near.length === 0) return strategy.ask(n, context);
      const prior = priorOf(context, near, top);
      const space = withPrior(context.space, prior, priorShare);
      const known = { ...context, space };
      // The first proposals are the earlier studies' best themselves, the nearest study's first.
      const transferred = near.flatMap(({ study }) => bestOf(context, study, 4));
      if (context.history.length + context.pending.length < transferred.length) {
        const queue = [...transferred];
        return proposeUnseen(
          n,
          { ...known, history: context.history },
          () => {
            const next = queue.shift();
            return next && { architecture: next, note: 'best of an earlier study' };
          },
          { initial: 0, tries: 2 * n },
        );
      }
      return strategy.ask(n, known);
    });
  },
});

interface Near {
  readonly study: EarlierStudy;
  readonly distance: number;
}

export function nearestStudies(context: AskContext, nearest: number): Near[] {
  const { space, history, objectives, constraints, earlier = [] } = context;
  const vocabulary = vocabularyOf(space);
  const metrics = [...objectives.map(({ metric }) => metric), ...constraints.map(({ metric }) => metric)];
  const distances = earlier
    .filter((study) => study.history.length >= 10)
    .map((study): Near => {
      const correlations = metrics.flatMap((metric) => {
        const known = history.filter(({ values }) => Number.isFinite(values[metric]));
        if (known.length < 8) return [];
        const predict = new MetricModel(vocabulary, metric, 'rank', [], [study]).predictor();
        return [
          spearman(
            known.map((x) => predict(x.architecture)),
            known.map((x) => x.values[metric] as number),
          ),
        ];
      });
      const mean = correlations.reduce((a, b) => a + b, 0) / Math.max(1, correlations.length);
      return { study, distance: correlations.length === 0 ? 0.5 : 1 - mean };
    });
  return distances.sort((a, b) => a.distance - b.distance).slice(0, nearest);
}

/** The best complete trials of an earlier study, by its own objectives and limits. */
export const bestOf = (context: AskContext, study: EarlierStudy, top: number): Architecture[] =>
  bestFirst({
    ...context,
    history: study.history,
    objectives: study.objectives,
    constraints: study.constraints,
  })
    .filter(({ state }) => state === 'complete')
    .slice(0, top)
    .map(({ architecture }) => architecture);

/** Frequencies of the choices among the nearest studies' best, one added to each count. */
function priorOf(context: AskContext, near: readonly Near[], top: number): Prior {
  const counts = (context.space.dims ?? []).map((dim) => new Array<number>(dim.choices.length).fill(0.5));
  for (const { study, distance } of near) {
    const weight = 1 / (distance + 0.05);
    for (const architecture of bestOf(context, study, top)) {
      indicesOf(architecture).forEach((index, i) => {
        const row = counts[i] as number[];
        row[index] = (row[index] as number) + weight;
      });
    }
  }
  for (const architecture of bestArchitectures(context, 4)) {
    indicesOf(architecture).forEach((index, i) => {
      const row = counts[i] as number[];
      row[index] = (row[index] as number) + 1;
    });
  }
  return counts;
}

/** The same space with its draws, and a share of its mutations, from a prior: any strategy runs on it unchanged. */
function withPrior(space: Space, prior: Prior, priorShare: number): Space {
  const context = { space } as AskContext;
  return {
    id: space.id,
    ...(space.dims && { dims: space.dims }),
    size: space.size,
    normalise: (architecture) => space.normalise(architecture),
    stats: (architecture) => space.stats(architecture),
    features: (architecture) => space.features(architecture),
    network: (architecture, weights) => space.network(architecture, weights),
    sample(rng) {
      for (let tries = 0; tries < 20; tries++) {
        const drawn = normalised(
          context,
          prior.map((row) => drawIndex(row, rng)),
        );
        if (drawn) return drawn;
      }
      return space.sample(rng);
    },
    mutate(architecture, rng, probability) {
      if (rng.next() >= priorShare) return space.mutate(architecture, rng, probability);
      const from = indicesOf(architecture);
      for (let tries = 0; tries < 10; tries++) {
        const decision = randomInt(rng, prior.length);
        const changed = from.map((index, i) =>
          i === decision ? drawIndex(prior[i] as number[], rng) : index,
        );
        const child = normalised(context, changed);
        if (child && indicesOf(child).some((index, i) => index !== from[i])) return child;
      }
      return space.mutate(architecture, rng, probability);
    },
  };
}
