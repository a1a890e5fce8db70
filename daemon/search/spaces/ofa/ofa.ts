import { z } from 'zod';
import type { Architecture } from '../../../core/architecture.js';
import { HildaError } from '../../../core/errors.js';
import { chainSpace, chosen, type Part } from '../chain-space.js';
import type { Dim, Space } from '../contract.js';
import type { Activation, Emitter } from '../parts/emitter.js';
import { divisible, ofaBlocks } from './blocks.js';
import type { OfaFile } from './file.js';

/** Decisions: resolution, the stages' depths, then kernel and expansion of every layer. */
export function ofaSpace(file: OfaFile): Space {
  const maxDepth = Math.max(...file.depths);
  const first = 1 + file.stages.length;
  const dims: Dim[] = [
    { name: 'resolution', choices: file.resolutions },
    ...file.stages.map((_, s) => ({ name: `stage${s + 1}.depth`, choices: file.depths })),
    ...file.stages.flatMap((_, s) =>
      Array.from({ length: maxDepth }, (_, l) => [
        { name: `stage${s + 1}.layer${l + 1}.kernel`, choices: file.kernels },
        { name: `stage${s + 1}.layer${l + 1}.expansion`, choices: file.expansions },
      ]).flat(),
    ),
  ];
  const depthOf = (indices: readonly number[], s: number): number => chosen(file.depths, indices[1 + s]);
  const layerAt = (s: number, l: number): number => first + 2 * (s * maxDepth + l);
  const perLayer = file.kernels.length * file.expansions.length;
  const perStage = file.depths.reduce((sum, depth) => sum + perLayer ** depth, 0);

  const chain = chainSpace({
    id: file.id,
    dims,
    size: file.resolutions.length * perStage ** file.stages.length,
    normal: (indices) =>
      indices.map((index, i) => {
        if (i < first) return index;
        const layer = (i - first) >> 1;
        return layer % maxDepth < depthOf(indices, Math.floor(layer / maxDepth)) ? index : 0;
      }),
    input: (indices) => {
      const resolution = chosen(file.resolutions, indices[0]);
      return [1, file.channels, resolution, resolution];
    },
    parts: (indices) => [
      { key: 'stem', emit: (e, x) => emitStem(e, x, file) },
      ...file.stages.flatMap((stage, s) =>
        Array.from({ length: depthOf(indices, s) }, (_, l): Part => {
          const kernel = chosen(file.kernels, indices[layerAt(s, l)]);
          const expansion = chosen(file.expansions, indices[layerAt(s, l) + 1]);
          const layer = { ...stage, stride: l === 0 ? stage.stride : 1, kernel, expansion };
          return {
            key: `layer ${kernel} ${expansion} ${layer.width} ${layer.stride} ${layer.activation} ${layer.squeeze}`,
            emit: (e, x) => emitLayer(e, x, `stage${s + 1}.layer${l + 1}`, layer),
          };
        }),
      ),
      { key: 'head', emit: (e, x) => emitHead(e, x, file) },
    ],
    seeds: [-1, 1].map((sign) =>
      dims.map(({ choices }) =>
        choices.reduce<number>(
          (best, c, i) => (sign * (Number(c) - Number(choices[best])) > 0 ? i : best),
          0,
        ),
      ),
    ),
  });
  return {
    ...chain,
    blocks(architecture) {
      const indices = chain.normalise(architecture) as readonly number[];
      return ofaBlocks(
        file,
        chosen(file.resolutions, indices[0]),
        file.stages.flatMap((stage, s) =>
          Array.from({ length: depthOf(indices, s) }, (_, l) => ({
            ...stage,
            name: `stage${s + 1}.layer${l + 1}`,
            stride: l === 0 ? stage.stride : 1,
            kernel: chosen(file.kernels, indices[layerAt(s, l)]),
            expansion: chosen(file.expansions, indices[layerAt(s, l) + 1]),
          })),
        ),
      );
    },
  };
}

interface Layer {
  readonly width: number;
  readonly stride: number;
  readonly kernel: number;
  readonly expansion: number;
  readonly activation: Activation;
  readonly squeeze: boolean;
}

function emitStem(e: Emitter, x: string, { stemWidth, firstWidth }: OfaFile): string {
  const stem = e.conv(x, 'stem', { out: stemWidth, kernel: 3, stride: 2, activation: 'hardSwish' });
  const depthwise = e.conv(stem, 'first.depthwise', { out: stemWidth, kernel: 3, depthwise: true });
  const first = e.conv(depthwise, 'first.project', { out: firstWidth, kernel: 1, activation: 'none' });
  return firstWidth === stemWidth ? e.b.add(first, stem) : first;
}

function emitLayer(e: Emitter, x: string, name: string, layer: Layer): string {
  const { width, stride, kernel, expansion, activation } = layer;
  const inWidth = e.b.dimsOf(x)[1] as number;
  const mid = divisible(inWidth * expansion);
  const expanded = e.conv(x, `${name}.expand`, { out: mid, kernel: 1, activation });
  const deep = e.conv(expanded, `${name}.depthwise`, {
    out: mid,
    kernel,
    stride,
    depthwise: true,
    activation,
  });
  const weighed = layer.squeeze ? squeezeExcite(e, deep, `${name}.se`) : deep;
  const y = e.conv(weighed, `${name}.project`, { out: width, kernel: 1, activation: 'none' });
  return stride === 1 && inWidth === width ? e.b.add(y, x) : y;
}

/** Squeeze and excitation (Hu et al. 2018) with hard sigmoid, a quarter as wide inside. */
function squeezeExcite(e: Emitter, x: string, name: string): string {
  const width = e.b.dimsOf(x)[1] as number;
  const inner = divisible(width / 4);
  const weight = (key: string, out: number, from: number): [string, string] => [
    e.weight(`${name}.${key}.weight`, [out, from, 1, 1]),
    e.weight(`${name}.${key}.bias`, [out]),
  ];
  const squeezed = e.b.relu(e.b.conv(e.b.globalAveragePool(x), ...weight('reduce', inner, width)));
  const excited = e.b.conv(squeezed, ...weight('expand', width, inner));
  return e.b.mul(x, e.b.node('HardSigmoid', [excited], { alpha: 1 / 6, beta: 0.5 }));
}

function emitHead(e: Emitter, x: string, { headWidth, featureWidth, classes }: OfaFile): string {
  const wide = e.conv(x, 'head', { out: headWidth, kernel: 1, activation: 'hardSwish' });
  const mix = e.weight('feature.weight', [featureWidth, headWidth, 1, 1]);
  const features = e.b.flatten(e.b.hardSwish(e.b.conv(e.b.globalAveragePool(wide), mix)));
  return e.b.gemm(
    features,
    e.weight('classifier.weight', [classes, featureWidth]),
    e.weight('classifier.bias', [classes]),
  );
}

const invertedSchema = z.looseObject({
  mobile_inverted_conv: z.looseObject({
    in_channels: z.number().int(),
    out_channels: z.number().int(),
    kernel_size: z.number().int(),
    stride: z.number().int(),
    expand_ratio: z.number(),
    mid_channels: z.number().int().nullish(),
  }),
});

/** Once-for-all's `net.config`: `blocks` from the fixed first one on. */
const netConfigSchema = z.looseObject({ blocks: z.array(invertedSchema).min(1) });

/**
 * The architecture that a `net.config` of Once-for-all describes. `resolution` stands beside it in their files
 * (`run.config` or the network's name). Throws ARCHITECTURE_INVALID for a network of another space.
 */
export function fromNetConfig(file: OfaFile, config: unknown, resolution: number): Architecture {
  const parsed = netConfigSchema.safeParse(config);
  if (!parsed.success)
    throw new HildaError('ARCHITECTURE_INVALID', `this is no net.config: ${z.prettifyError(parsed.error)}`);
  const blocks = parsed.data.blocks.slice(1).map((block) => block.mobile_inverted_conv);
  const maxDepth = Math.max(...file.depths);
  const indexIn = (choices: readonly number[], value: number, what: string): number => {
    const index = choices.indexOf(value);
    if (index < 0)
      throw new HildaError(
        'ARCHITECTURE_INVALID',
        `${file.id} has no ${what} ${value}; it has ${choices.join(', ')}`,
      );
    return index;
  };
  const depths: number[] = [];
  const layers: number[] = [];
  let at = 0;
  for (const { width } of file.stages) {
    const from = at;
    while (at < blocks.length && blocks[at]?.out_channels === width && at - from < maxDepth) at++;
    depths.push(indexIn(file.depths, at - from, 'depth'));
    for (let l = 0; l < maxDepth; l++) {
      const block = from + l < at ? blocks[from + l] : undefined;
      if (!block) {
        layers.push(0, 0);
        continue;
      }
      // Their files write the ratio of a network cut out of a wider one as mid_channels alone.
      const ratio = block.mid_channels
        ? Math.round(block.mid_channels / block.in_channels)
        : block.expand_ratio;
      layers.push(
        indexIn(file.kernels, block.kernel_size, 'kernel'),
        indexIn(file.expansions, ratio, 'expansion'),
      );
    }
  }
  if (at !== blocks.length)
    throw new HildaError(
      'ARCHITECTURE_INVALID',
      `block ${at + 2} of the net.config fits no stage of ${file.id}`,
    );
  return [indexIn(file.resolutions, resolution, 'resolution'), ...depths, ...layers];
}
