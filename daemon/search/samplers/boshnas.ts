import { z } from 'zod';
import type { Architecture } from '../../core/architecture.js';
import { pick, type Rng, Xoshiro128 } from '../../core/rng.js';
import type { AskContext } from './contract.js';
import { type Acquisition, type ConfidenceBound, fitConfidenceBound } from './learning/confidence-bound.js';
import { OneHot } from './learning/one-hot.js';
import { count, type Draw, definePlugin, memoryless, normalised, proposeUnseen, share } from './plugin.js';
import { bestArchitectures } from './rank.js';
import { Unseen } from './unseen.js';

/** Steps of the input optimisation and their length; a change of one decision is 1.4 long. */
const inputSteps = 10;
const inputRate = 0.4;
/** Candidates that a climb may start from, and how many of them do. */
const lotSize = 24;
const starts = 8;

/**
 * BOSHNAS (Tuli et al., JAIR 2022, section 3.3; TPAMI 2023): a surrogate that knows its aleatoric and its epistemic
 * uncertainty, and gradients through it to its input. Here an ensemble of networks with Gaussian likelihood stands for
 * the authors' teacher, student and natural-parameter network; limits are targets of it beside the objectives. A trial
 * maximises the upper confidence bound: from each of several starts, most of them changes of the best trials, the
 * relaxed input follows the gradient and the nearest architecture by L1 is taken; of all starts and ends the best one
 * that was not proposed yet. One in ten proposals is the most uncertain of a random lot, one in ten is random.
 * Steps are plain gradients where the authors use AdaHessian.
 */
export const boshnas = definePlugin({
  name: 'boshnas',
  options: z.strictObject({
    initial: count(20),
    members: count(4),
    hidden: count(12),
    randomShare: share(0.1),
    uncertainShare: share(0.1),
  }),
  create: (o) =>
    memoryless('boshnas', ['dims'], (n, context) => {
      const { space, rng, history } = context;
      if (history.length + context.pending.length < o.initial || history.length < 5)
        return proposeUnseen(n, context, () => undefined, { initial: o.initial, tries: 1 });
      const oneHot = new OneHot(space);
      const bound = surrogate(context, oneHot, o);
      const best = bestArchitectures(context, 10);
      const unseen = new Unseen(context);
      const draw = (): Draw | undefined => {
        const uniform = rng.next();
        if (uniform < o.randomShare) return { architecture: space.sample(rng), note: 'random' };
        if (uniform < o.randomShare + o.uncertainShare) {
          const lot = Array.from({ length: 20 }, () => space.sample(rng));
          return {
            architecture: largest(lot, (a) => bound.deviation(oneHot.encode(a))),
            note: 'uncertain',
          };
        }
        const lot = Array.from({ length: lotSize }, (_, i) =>
          i % 3 === 0 ? space.sample(rng) : space.mutate(pick(rng, best), rng),
        );
        return climbFrom(lot, acquisitionOf(bound, context), context, oneHot, unseen);
      };
      return proposeUnseen(
        n,
        context,
        () => {
          const drawn = draw();
          if (drawn) unseen.take(drawn.architecture);
          return drawn;
        },
        { initial: 0, tries: 5 * n },
      );
    }),
});

function surrogate(
  context: AskContext,
  oneHot: OneHot,
  size: { readonly members: number; readonly hidden: number },
): ConfidenceBound {
  const { history } = context;
  const x = history.map(({ architecture }) => oneHot.encode(architecture));
  // The study's generator moves with the proposals alone: the fit has its own, so that it stays a function of the history.
  return fitConfidenceBound(context, history, x, size, Xoshiro128.fromSeed(history.length));
}

/** Several objectives are weighed anew for every proposal. */
const acquisitionOf = (bound: ConfidenceBound, { objectives, rng }: AskContext): Acquisition =>
  bound.acquisition(objectives.length === 1 ? [1] : objectives.map(() => weight(rng)));

const weight = (rng: Rng): number => 1 - rng.next();

/** The best unseen one of the lot's best and of where the gradient leads from them. */
function climbFrom(
  lot: readonly Architecture[],
  acquisition: Acquisition,
  context: AskContext,
  oneHot: OneHot,
  unseen: Unseen,
): Draw | undefined {
  const rated = (architecture: Architecture, note: string) => ({
    architecture,
    note,
    value: acquisition.value(oneHot.encode(architecture)),
  });
  const from = lot
    .map((architecture) => rated(architecture, 'candidate'))
    .sort((a, b) => b.value - a.value)
    .slice(0, starts);
  const ends = from.flatMap(({ architecture }) => {
    const end = nearest(context, climb(oneHot.encode(architecture), acquisition), oneHot);
    return end === undefined ? [] : [rated(end, 'input gradient')];
  });
  const open = [...ends, ...from].filter(({ architecture }) => !unseen.has(architecture));
  return open.length > 0 ? largest(open, ({ value }) => value) : undefined;
}

/** Gradient ascent on the relaxed input, normalised steps, inside [0, 1]. */
function climb(x: Float64Array, acquisition: Acquisition): Float64Array {
  const at = Float64Array.from(x);
  for (let step = 0; step < inputSteps; step++) {
    const gradient = acquisition.gradient(at);
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
