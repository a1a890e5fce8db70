import { HildaError } from '../../../core/errors.js';

/** One architecture of Once-for-all's MobileNetV3 space (Cai et al. 2020, section 4.1). */
export interface OfaArchitecture {
  /** Kernel and expansion of each of 20 layers, 5 stages of 4; those beyond a stage's depth do not count. */
  readonly kernels: readonly number[];
  readonly expansions: readonly number[];
  readonly depths: readonly number[];
  readonly resolution: number;
}

const stages = [
  { width: 32, stride: 2, squeeze: false },
  { width: 48, stride: 2, squeeze: true },
  { width: 96, stride: 2, squeeze: false },
  { width: 136, stride: 1, squeeze: true },
  { width: 192, stride: 2, squeeze: true },
] as const;
const stem = 24;
const layersPerStage = 4;

/** Reads 20 kernel digits, 20 expansion digits, 5 depth digits and the resolution. Throws ARCHITECTURE_INVALID. */
export function readOfa(
  kernels: string,
  expansions: string,
  depths: string,
  resolution: string,
): OfaArchitecture {
  const valid =
    /^[357]{20}$/.test(kernels) &&
    /^[346]{20}$/.test(expansions) &&
    /^[234]{5}$/.test(depths) &&
    /^\d{2,4}$/.test(resolution);
  if (!valid) {
    throw new HildaError(
      'ARCHITECTURE_INVALID',
      `${kernels} ${expansions} ${depths} ${resolution} is no architecture of ofa-mobilenet-v3`,
      { hint: '20 kernels of 3, 5, 7; 20 expansions of 3, 4, 6; 5 depths of 2, 3, 4; a resolution.' },
    );
  }
  const digits = (text: string): number[] => [...text].map(Number);
  return {
    kernels: digits(kernels),
    expansions: digits(expansions),
    depths: digits(depths),
    resolution: Number(resolution),
  };
}

/** Operator and shape -> how many, at width 1.2, in the keys of `daemon/network/cost.ts`. */
export function ofaOperators(a: OfaArchitecture): ReadonlyMap<string, number> {
  const out = new Map<string, number>();
  const add = (key: string): void => void out.set(key, (out.get(key) ?? 0) + 1);
  let side = a.resolution;
  let channels = 3;
  const dims = (): string => `1x${channels}x${side}x${side}`;
  const convolution = (width: number, kernel: number, stride: number, group = 1): void => {
    const from = dims();
    side = Math.ceil(side / stride);
    channels = width;
    add(`Conv ${from} > ${dims()} k${kernel}x${kernel} s${stride}x${stride} g${group}`);
  };
  convolution(stem, 3, 2);
  convolution(stem, 3, 1, stem);
  convolution(stem, 1, 1);
  stages.forEach(({ width, stride, squeeze }, stage) => {
    for (let layer = 0; layer < (a.depths[stage] as number); layer++) {
      const at = stage * layersPerStage + layer;
      const before = channels;
      const middle = before * (a.expansions[at] as number);
      convolution(middle, 1, 1);
      convolution(middle, a.kernels[at] as number, layer === 0 ? stride : 1, middle);
      if (squeeze) {
        add(`GlobalAveragePool ${dims()} > 1x${middle}x1x1`);
        add(`Mul ${dims()} 1x${middle}x1x1 > ${dims()}`);
      }
      convolution(width, 1, 1);
      if (layer > 0) add(`Add ${dims()} ${dims()} > ${dims()}`);
    }
  });
  convolution(channels * 6, 1, 1);
  return out;
}

/** The decisions that have effect, and the resolution. */
export function ofaDecisions(a: OfaArchitecture): ReadonlyMap<string, number> {
  const out = new Map<string, number>([['resolution', a.resolution]]);
  a.depths.forEach((depth, stage) => {
    out.set(`depth ${stage}`, depth);
    for (let layer = 0; layer < depth; layer++) {
      const at = stage * layersPerStage + layer;
      out.set(`kernel ${stage}.${layer}`, a.kernels[at] as number);
      out.set(`expansion ${stage}.${layer}`, a.expansions[at] as number);
    }
  });
  return out;
}
