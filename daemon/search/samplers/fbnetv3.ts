import { z } from 'zod';
import type { Architecture } from '../../core/architecture.js';
import { pick, randomInt, Xoshiro128 } from '../../core/rng.js';
import type { Space } from '../spaces/contract.js';
import type { AskContext } from './contract.js';
import { normalScores } from './learning/bayesian-linear.js';
import { Mlp } from './learning/mlp.js';
import { OneHot } from './learning/one-hot.js';
import { breed } from './offspring.js';
import { count, definePlugin, memoryless, proposeUnseen } from './plugin.js';
import { bestArchitectures, rewards } from './rank.js';

const hidden = 32;
const pretrainingSteps = 300;
const trainingSteps = 120;
const batch = 32;
/** Huber's delta, on normal scores. */
const huber = 1;

const encoders = new WeakMap<Space, Mlp>();

/**
 * The encoder of FBNetV3's predictor (Dai et al., CVPR 2021, section 3.2): pretrained on what is free, the MACs,
 * parameters and activation bytes of unlabelled architectures. One a space.
 */
function pretrained(space: Space, oneHot: OneHot): Mlp {
  const known = encoders.get(space);
  if (known) return known;
  const rng = Xoshiro128.fromSeed(oneHot.length);
  const lot = Array.from({ length: 300 }, () => space.sample(rng));
  const stats = lot.map((a) => space.stats(a));
  const columns = [
    normalScores(stats.map((s) => s.macs)),
    normalScores(stats.map((s) => s.parameters)),
    normalScores(stats.map((s) => s.peakActivationBytes)),
  ];
  const model = new Mlp([oneHot.length, hidden, columns.length], rng);
  const x = lot.map((a) => oneHot.encode(a));
  for (let step = 0; step < pretrainingSteps; step++) {
    for (let k = 0; k < batch; k++) {
      const i = randomInt(rng, lot.length);
      model.learn(x[i] as Float64Array, (out) =>
        out.map((value, c) => clip(value - (columns[c]?.[i] as number))),
      );
    }
    model.step(0.01, batch);
  }
  encoders.set(space, model);
  return model;
}

const clip = (error: number): number => Math.max(-huber, Math.min(huber, error));

/**
 * Learns a target from labelled architectures: a new head on the pretrained encoder, which stays frozen for the first
 * half of the steps; Huber loss. Without pretraining the encoder starts from chance.
 */
export function fitFbnetPredictor(
  space: Space,
  architectures: readonly Architecture[],
  y: readonly number[],
  { pretrain = true }: { readonly pretrain?: boolean } = {},
): (architecture: Architecture) => number {
  const oneHot = new OneHot(space);
  const rng = Xoshiro128.fromSeed(architectures.length + 1);
  const x = architectures.map((a) => oneHot.encode(a));
  // Two members: one network alone is a draw of luck.
  const models = Array.from({ length: 2 }, () => {
    const model = pretrain
      ? pretrained(space, oneHot).withNewHead(1, rng)
      : new Mlp([oneHot.length, hidden, 1], rng);
    for (let step = 0; step < trainingSteps; step++) {
      for (let k = 0; k < batch; k++) {
        const i = randomInt(rng, x.length);
        model.learn(x[i] as Float64Array, (out) =>
          Float64Array.of(clip((out[0] as number) - (y[i] as number))),
        );
      }
      const frozen = pretrain && step < trainingSteps / 2 ? model.hiddenLayers : 0;
      model.step(0.01, batch, { decay: 1e-3, frozen });
    }
    return model;
  });
  return (architecture) => {
    const input = oneHot.encode(architecture);
    return models.reduce((sum, model) => sum + (model.output(input)[0] as number), 0) / models.length;
  };
}

/**
 * FBNetV3 (Dai et al., CVPR 2021): constrained iterative optimisation, then adaptive genetic search. Up to `iterations`
 * times `batch` trials the best predicted of a random lot are measured and the predictor refitted; from then on the
 * best trials are bred and the children with the highest predicted score are measured. Recipe decisions (rate, epochs,
 * augmentation) need no rule of their own: they are dimensions of the space like any other.
 */
export const fbnetv3 = definePlugin({
  name: 'fbnetv3',
  options: z.strictObject({
    initial: count(20),
    iterative: count(60),
    lot: count(300),
    pretrain: z.boolean().default(true),
  }),
  create: (o) =>
    memoryless('fbnetv3', ['dims'], (n, context) => {
      const { space, rng, history } = context;
      if (history.length + context.pending.length < o.initial || history.length < 5)
        return proposeUnseen(n, context, () => undefined, { initial: o.initial, tries: 1 });
      const trials = history.slice(-400);
      const predict = fitFbnetPredictor(
        space,
        trials.map(({ architecture }) => architecture),
        normalScores(rewards(context, trials, 0.05)),
        { pretrain: o.pretrain },
      );
      const stage = history.length < o.iterative ? 'iterative' : 'genetic';
      const lot = stage === 'iterative' ? randomLot(context, o.lot) : bredLot(context, o.lot, predict);
      const ranked = lot
        .map((architecture) => ({ architecture, value: predict(architecture) }))
        .sort((a, b) => b.value - a.value);
      let at = 0;
      return proposeUnseen(
        n,
        context,
        () => {
          const next = ranked[at++];
          return next
            ? { architecture: next.architecture, note: stage }
            : { architecture: space.sample(rng), note: 'random' };
        },
        { initial: o.initial, tries: o.lot },
      );
    }),
});

const randomLot = ({ space, rng }: AskContext, size: number): Architecture[] =>
  Array.from({ length: size }, () => space.sample(rng));

/** Children of the best trials and of the best predicted children, until a generation gains nothing. */
function bredLot(
  context: AskContext,
  size: number,
  predict: (architecture: Architecture) => number,
): Architecture[] {
  const { space, rng } = context;
  const lot: Architecture[] = [];
  let parents = bestArchitectures(context, 20);
  let top = Number.NEGATIVE_INFINITY;
  for (let generation = 0; generation < 5; generation++) {
    const born = Array.from({ length: Math.ceil(size / 3) }, () =>
      rng.next() < 0.2 ? space.mutate(pick(rng, parents), rng, 0.3) : breed(space, parents, rng, 0.5),
    );
    lot.push(...born);
    const ranked = born.map((a) => ({ a, value: predict(a) })).sort((p, q) => q.value - p.value);
    if ((ranked[0]?.value ?? 0) <= top) break;
    top = ranked[0]?.value ?? 0;
    parents = [...parents.slice(0, 10), ...ranked.slice(0, 10).map(({ a }) => a)];
  }
  return lot;
}
