import { z } from 'zod';
import type { Architecture } from '../../core/architecture.js';
import { drawIndex, type Rng, shuffled, Xoshiro128 } from '../../core/rng.js';
import type { Space } from '../spaces/contract.js';
import type { AskContext } from './contract.js';
import { Mlp } from './learning/mlp.js';
import { OneHot } from './learning/one-hot.js';
import { softmax } from './learning/policy.js';
import { count, definePlugin, indicesOf, memoryless, normalised, positive, proposeUnseen } from './plugin.js';
import { guides } from './posterior-samples.js';

const trainingSteps = 400;
const hidden = 32;
/** Choices of one decision that the predictor looks at; each costs one prediction. */
const guidedChoices = 16;
/** Chosen on NAS-Bench-201: three tasks and the fronts of two devices that no benchmark here uses. */
const guidanceScale = 10;

/** Given decisions of which some are masked (-1): the probabilities of any decision's choices. */
export type Denoiser = (partial: readonly number[]) => (decision: number) => number[];

const denoisers = new WeakMap<Space, Denoiser>();

/**
 * Absorbing discrete diffusion (Austin et al. 2021, section 3) in place of DiffusionNAG's continuous one: decisions are
 * masked at random and a network learns to fill them in. It learns from unlabelled architectures of the space alone, so
 * one denoiser serves every study of the space.
 */
function denoiserOf(space: Space): Denoiser {
  const known = denoisers.get(space);
  if (known) return known;
  const oneHot = new OneHot(space);
  const { sizes, offsets, length } = oneHot;
  const rng = Xoshiro128.fromSeed(length);
  const model = new Mlp([length + sizes.length, hidden, length], rng);
  const input = (partial: readonly number[]): Float64Array => {
    const x = new Float64Array(length + sizes.length);
    partial.forEach((index, i) => {
      x[index < 0 ? length + i : (offsets[i] as number) + index] = 1;
    });
    return x;
  };
  for (let step = 0; step < trainingSteps; step++) {
    for (let k = 0; k < 16; k++) {
      const whole = indicesOf(space.sample(rng));
      const masked = rng.next();
      const partial = whole.map((index) => (rng.next() < masked ? -1 : index));
      model.learn(input(partial), (out) => {
        const gradient = new Float64Array(length);
        partial.forEach((index, i) => {
          if (index >= 0) return;
          const from = offsets[i] as number;
          softmax([...out.subarray(from, from + (sizes[i] as number))]).forEach((p, j) => {
            gradient[from + j] = p - (whole[i] === j ? 1 : 0);
          });
        });
        return gradient;
      });
    }
    model.step(0.01, 16);
  }
  const denoiser: Denoiser = (partial) => {
    const out = model.output(input(partial));
    return (decision) => {
      const from = offsets[decision] as number;
      return softmax([...out.subarray(from, from + (sizes[decision] as number))]);
    };
  };
  denoisers.set(space, denoiser);
  return denoiser;
}

/**
 * Architectures by the reverse process: from all masked, one decision at a time is filled in, drawn from the denoiser's
 * probabilities times exp(scale x predicted) (classifier guidance: DiffusionNAG, An et al., ICLR 2024, equation 5). The
 * prediction is that of the partial architecture completed by the denoiser. What the space excludes is drawn again, so
 * every architecture returned is valid.
 */
export function sampleDenoised(
  context: Pick<AskContext, 'space' | 'rng'>,
  n: number,
  predict?: (architecture: Architecture) => number,
  scale = guidanceScale,
): Architecture[] {
  const { space, rng } = context;
  const denoise = denoiserOf(space);
  const sizes = (space.dims ?? []).map((dim) => dim.choices.length);
  const out: Architecture[] = [];
  for (let tries = 0; out.length < n && tries < 20 * n; tries++) {
    const partial = sizes.map(() => -1);
    for (const decision of shuffled(
      rng,
      sizes.map((_, i) => i),
    )) {
      const probabilities = denoise(partial)(decision);
      const guided =
        predict && probabilities.length <= guidedChoices
          ? probabilities.map((p, choice) => {
              const whole = complete(
                partial.map((index, i) => (i === decision ? choice : index)),
                denoise,
                rng,
              );
              const architecture = normalised(context as AskContext, whole);
              return architecture ? p * Math.exp(scale * predict(architecture)) : p * 1e-6;
            })
          : probabilities;
      partial[decision] = drawIndex(guided, rng);
    }
    const architecture = normalised(context as AskContext, partial);
    if (architecture) out.push(architecture);
  }
  return out;
}

function complete(partial: readonly number[], denoise: Denoiser, rng: Rng): number[] {
  const probabilities = denoise(partial);
  return partial.map((index, i) => (index >= 0 ? index : drawIndex(probabilities(i), rng)));
}

/**
 * DiffusionNAG as a search: random trials, then samples guided by what the history says about objectives and limits,
 * learnt anew at every ask.
 */
export const diffusionNag = definePlugin({
  name: 'diffusionnag',
  options: z.strictObject({ initial: count(20), scale: positive(guidanceScale) }),
  create: ({ initial, scale }) =>
    memoryless('diffusionnag', ['dims'], (n, context) => {
      const nextGuide = context.history.length < initial ? undefined : guides(context);
      return proposeUnseen(
        n,
        context,
        () => {
          const [architecture] = sampleDenoised(context, 1, nextGuide?.(), scale);
          return architecture && { architecture, note: nextGuide ? 'guided sample' : 'sample' };
        },
        { initial, tries: 20 * n },
      );
    }),
});
