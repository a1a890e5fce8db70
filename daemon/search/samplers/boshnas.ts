import { z } from 'zod';
import type { Architecture } from '../../core/architecture.js';
import { pick, randomInt, Xoshiro128 } from '../../core/rng.js';
import type { AskContext, Trial } from './contract.js';
import { sampleDenoised } from './diffusionnag.js';
import { normalScores } from './learning/bayesian-linear.js';
import { Mlp } from './learning/mlp.js';
import { OneHot } from './learning/one-hot.js';
import { count, definePlugin, memoryless, normalised, proposeUnseen, share } from './plugin.js';
import { bestArchitectures, rewards } from './rank.js';

/** The authors' constants: k sigma in the acquisition, steps of input optimisation, change that ends it. */
const uncertaintyWeight = 0.5;
const inputSteps = 30;
const inputRate = 0.15;
const trainingSteps = 150;

/**
 * BOSHNAS (Tuli et al., JAIR 2022, section 3.3; TPAMI 2023): a surrogate that knows its aleatoric and its epistemic
 * uncertainty, and gradients through it to its input. Here an ensemble of networks with Gaussian likelihood, each with
 * mean and variance (Nix and Weigend 1994; Lakshminarayanan et al. 2017), stands for the authors' teacher, student and
 * natural-parameter network. The next trial maximises mean + 0.5 deviations: from a good candidate the relaxed input
 * follows the gradient and the nearest architecture by L1 is taken. One in ten proposals is the most uncertain of a
 * random lot, one in ten is random. `pool: diffusion` starts from DiffusionNAG's samples instead of mutations.
 */
export const boshnas = definePlugin({
  name: 'boshnas',
  options: z.strictObject({
    initial: count(20),
    members: count(4),
    hidden: count(24),
    randomShare: share(0.1),
    uncertainShare: share(0.1),
    pool: z.enum(['mutation', 'diffusion']).default('mutation'),
  }),
  create: (o) =>
    memoryless('boshnas', ['dims'], (n, context) => {
      const { space, rng, history } = context;
      const oneHot = new OneHot(space);
      const surrogate = fitEnsemble(context, oneHot, o.members, o.hidden);
      const best = bestArchitectures(context, 10);
      const generated =
        o.pool === 'diffusion' && surrogate && history.length >= o.initial
          ? sampleDenoised(context, 4 * n, (a) => surrogate(oneHot.encode(a)).mean, 1.5)
          : [];
      return proposeUnseen(
        n,
        context,
        () => {
          const uniform = rng.next();
          if (!surrogate || uniform < o.randomShare)
            return { architecture: space.sample(rng), note: 'random' };
          if (uniform < o.randomShare + o.uncertainShare) {
            const lot = Array.from({ length: 20 }, () => space.sample(rng));
            return {
              architecture: largest(lot, (a) => surrogate(oneHot.encode(a)).deviation),
              note: 'uncertain',
            };
          }
          const from = generated.length > 0 ? pick(rng, generated) : start(context, best, surrogate, oneHot);
          const at = climb(oneHot.encode(from), surrogate);
          const architecture = nearest(context, at, oneHot);
          return architecture && { architecture, note: 'input gradient' };
        },
        { initial: o.initial, tries: 20 * n },
      );
    }),
});

interface Belief {
  readonly mean: number;
  readonly deviation: number;
  /** Of mean + 0.5 deviations, by input. */
  readonly gradient: Float64Array;
}

export type Surrogate = (x: Float64Array) => Belief;

/** Undefined before five trials are told. Each member sees its own bootstrap and starts from its own weights. */
export function fitEnsemble(
  context: AskContext,
  oneHot: OneHot,
  members: number,
  hidden: number,
): Surrogate | undefined {
  const trials: readonly Trial[] = context.history.slice(-400);
  if (trials.length < 5) return undefined;
  const y = normalScores(rewards(context, trials, 0.05));
  const x = trials.map(({ architecture }) => oneHot.encode(architecture));
  // The study's generator moves with the proposals alone: the fit has its own, so that it stays a function of the history.
  const rng = Xoshiro128.fromSeed(trials.length);
  const models = Array.from({ length: members }, () => {
    const model = new Mlp([oneHot.length, hidden, 2], rng);
    const bag = x.map(() => randomInt(rng, x.length));
    for (let step = 0; step < trainingSteps; step++) {
      for (let k = 0; k < 32; k++) {
        const i = pick(rng, bag);
        const activations = model.forward(x[i] as Float64Array);
        const [mean, logVariance] = activations.at(-1) as unknown as [number, number];
        const inverse = Math.exp(-clampLog(logVariance));
        const error = mean - (y[i] as number);
        model.backward(activations, Float64Array.of(error * inverse, 0.5 * (1 - error * error * inverse)));
      }
      model.step(0.02, 32, { decay: 1e-3 });
    }
    return model;
  });
  return (input) => {
    const runs = models.map((model) => model.forward(input));
    const outputs = runs.map((run) => run.at(-1) as Float64Array);
    const mean = outputs.reduce((sum, out) => sum + (out[0] as number), 0) / members;
    const epistemic = outputs.reduce((sum, out) => sum + ((out[0] as number) - mean) ** 2, 0) / members;
    const aleatoric = outputs.reduce((sum, out) => sum + Math.exp(clampLog(out[1] as number)), 0) / members;
    const deviation = Math.sqrt(epistemic + aleatoric);
    const gradient = new Float64Array(input.length);
    runs.forEach((run, m) => {
      const out = outputs[m] as Float64Array;
      const upstream = Float64Array.of(
        (1 + (uncertaintyWeight * ((out[0] as number) - mean)) / deviation) / members,
        (uncertaintyWeight * 0.5 * Math.exp(clampLog(out[1] as number))) / deviation / members,
      );
      (models[m] as Mlp).backward(run, upstream).forEach((g, i) => {
        gradient[i] = (gradient[i] as number) + g;
      });
    });
    return { mean, deviation, gradient };
  };
}

const clampLog = (value: number): number => Math.max(-6, Math.min(4, value));

function start(
  { space, rng }: AskContext,
  best: readonly Architecture[],
  surrogate: Surrogate,
  oneHot: OneHot,
): Architecture {
  const lot = Array.from({ length: 24 }, (_, i) =>
    i % 3 === 0 || best.length === 0 ? space.sample(rng) : space.mutate(pick(rng, best), rng),
  );
  return largest(lot, (a) => {
    const { mean, deviation } = surrogate(oneHot.encode(a));
    return mean + uncertaintyWeight * deviation;
  });
}

/** Gradient ascent on the relaxed input, normalised steps, inside [0, 1]. */
function climb(x: Float64Array, surrogate: Surrogate): Float64Array {
  const at = Float64Array.from(x);
  for (let step = 0; step < inputSteps; step++) {
    const { gradient } = surrogate(at);
    const norm = Math.sqrt(gradient.reduce((sum, g) => sum + g * g, 0));
    if (norm < 1e-5) break;
    gradient.forEach((g, i) => {
      at[i] = Math.max(0, Math.min(1, (at[i] as number) + (inputRate * g) / norm));
    });
  }
  return at;
}

/** The nearest architecture by L1: each decision's largest entry. */
function nearest(context: AskContext, x: Float64Array, { sizes, offsets }: OneHot): Architecture | undefined {
  const indices = sizes.map((size, d) => {
    const row = x.subarray(offsets[d] as number, (offsets[d] as number) + size);
    return row.indexOf(row.reduce((a, b) => Math.max(a, b)));
  });
  return normalised(context, indices);
}

export function largest<T>(items: readonly T[], score: (item: T) => number): T {
  let best = items[0] as T;
  let top = Number.NEGATIVE_INFINITY;
  for (const item of items) {
    const value = score(item);
    if (value > top) [best, top] = [item, value];
  }
  return best;
}
