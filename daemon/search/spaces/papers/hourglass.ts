import { z } from 'zod';
import { generatedSigns, signsName } from '../../../network/generated-signs.js';
import { chainSpace, chosen, type Part } from '../chain-space.js';
import type { Space } from '../contract.js';
import { distinct, namedFile } from '../parts/file-fields.js';
import { boundedCount } from '../parts/network-bounds.js';

const size = z.number().int().min(1).max(65_536);

/**
 * Hourglass MLPs (Chen et al. 2025, Rethinking the Shape Convention of an MLP: wide skips, narrow bottlenecks): the shortcut is wider than the hidden
 * layer, and the input reaches it through a fixed random projection. That matrix is a function of its seed, and its
 * constant is named so (`generated.signs.<seed>`): a board generates it instead of storing it.
 */
export const hourglassFileSchema = z.strictObject({
  ...namedFile('hourglass'),
  /** Values that come in, as channels, height, width. */
  input: z.tuple([size, size, size]),
  classes: size,
  widths: distinct(size),
  bottlenecks: distinct(size),
  depths: distinct(z.number().int().min(1).max(32)),
  seed: z.number().int().min(0).max(0xffffffff).default(1),
});

export type HourglassFile = z.infer<typeof hourglassFileSchema>;

/** The projection [in, out]: signs over the square root of `in`. A narrower projection is the left part of a wider one. */
function generatedProjection(seed: number, inputs: number, outputs: number): Float32Array {
  const signs = generatedSigns(seed, outputs, inputs);
  const out = new Float32Array(inputs * outputs);
  const root = Math.sqrt(inputs);
  // Both are read and written along blocks, which stay in the processor's cache.
  for (let from = 0; from < outputs; from += 16)
    for (let i = 0; i < inputs; i++)
      for (let j = from; j < Math.min(from + 16, outputs); j++)
        out[i * outputs + j] = (signs[j * inputs + i] as number) / root;
  return out;
}

export function hourglassSpace(file: HourglassFile): Space {
  const inputs = file.input.reduce((a, b) => a * b, 1);
  const maxDepth = Math.max(...file.depths);
  const first = 2;
  const extreme = (values: readonly number[], pick: (...v: number[]) => number): number =>
    values.indexOf(pick(...values));
  return chainSpace({
    id: file.id,
    dims: [
      { name: 'depth', choices: file.depths },
      { name: 'width', choices: file.widths },
      ...Array.from({ length: maxDepth }, (_, i) => ({
        name: `block${i + 1}.bottleneck`,
        choices: file.bottlenecks,
      })),
    ],
    normal: (indices) =>
      indices.map((index, i) => (i < first || i < first + chosen(file.depths, indices[0]) ? index : 0)),
    size: file.widths.length * file.depths.reduce((sum, depth) => sum + file.bottlenecks.length ** depth, 0),
    input: () => [1, ...file.input],
    parts: (indices) => {
      const width = chosen(file.widths, indices[1]);
      return [
        {
          key: `project ${width}`,
          emit: (e, x) => {
            const [name, dims] = [signsName(file.seed), [inputs, width]];
            boundedCount(name, dims);
            const matrix = () => generatedProjection(file.seed, inputs, width);
            const values = cached(`${file.seed} ${inputs} ${width}`, matrix);
            return e.b.matMul(e.b.flatten(x), e.fixed(name, dims, values));
          },
        },
        ...Array.from({ length: chosen(file.depths, indices[0]) }, (_, i): Part => {
          const bottleneck = chosen(file.bottlenecks, indices[first + i]);
          return { key: `block ${bottleneck}`, emit: (e, x) => e.mlp(x, `block${i + 1}`, bottleneck) };
        }),
        {
          key: 'head',
          emit: (e, x) =>
            e.b.gemm(
              e.layerNorm(x, 'norm'),
              e.weight('classifier.weight', [file.classes, width]),
              e.weight('classifier.bias', [file.classes]),
            ),
        },
      ];
    },
    seeds: [Math.min, Math.max].map((pick) => [
      extreme(file.depths, pick),
      extreme(file.widths, pick),
      ...Array.from({ length: maxDepth }, () => extreme(file.bottlenecks, pick)),
    ]),
  });
}

/** A search goes back and forth between a few widths. */
const mostProjections = 8;
const projections = new Map<string, Float32Array>();

function cached(key: string, make: () => Float32Array): Float32Array {
  const known = projections.get(key) ?? make();
  projections.delete(key);
  projections.set(key, known);
  const [oldest] = projections.keys();
  if (projections.size > mostProjections && oldest !== undefined) projections.delete(oldest);
  return known;
}
