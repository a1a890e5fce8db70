import type { Architecture } from '../../../core/architecture.js';
import { costFeatures, countCost } from '../../../network/cost.js';
import type { Graph } from '../../../network/graph.js';
import type { GraphBuilder } from '../../../network/graph-builder.js';
import type { Dim, FreeStats, Space, WeightSource } from '../contract.js';
import { freeStats } from '../parts/free-stats.js';
import { indexMoves } from '../parts/index-moves.js';
import { boundedBuilder } from '../parts/network-bounds.js';
import { randomWeights } from '../parts/random-weights.js';
import { mbconvBlocks } from './blocks.js';
import { type Choice, type Layer, listLayers, type MbconvFile } from './file.js';
import { emitHead, emitLayer, emitStem } from './network.js';

export function mbconvSpace(file: MbconvFile): Space {
  const layers = listLayers(file);
  const dims: Dim[] = layers.map(({ name, choices }) => ({
    name,
    choices: choices.map(choiceName),
    factors: factorsOf(name, choices),
  }));
  const moves = indexMoves(file.id, dims, (indices) => indices);
  const chosen = (indices: readonly number[]): (Choice | 'skip')[] =>
    layers.map((layer, i) => layer.choices[indices[i] as number] as Choice | 'skip');

  const network = (architecture: Architecture, weights: WeightSource = randomWeights): Graph => {
    const b = boundedBuilder(file.id);
    let x = emitStem(b, b.input('input', 'float32', [1, ...file.input]), file, weights);
    chosen(moves.normalise(architecture)).forEach((choice, i) => {
      x = emitLayer(b, x, layers[i] as Layer, choice, weights);
    });
    b.output(emitHead(b, x, file, weights), 'logits');
    return b.build();
  };

  // Parts are joined by one value, so a network's features are the sum of its parts'; each part is counted once.
  const last = layers.at(-1) as Layer;
  const ends = partFeatures([1, ...file.input], (b, x) => emitStem(b, x, file, randomWeights));
  const lastDims = last.inDims.map((d) => Math.ceil(d / last.stride));
  const head = partFeatures(
    [1, last.width, ...lastDims],
    (b, x) => emitHead(b, x, file, randomWeights),
    'logits',
  );
  const parts = new Map<string, ReadonlyMap<string, number>>();
  const layerFeatures = (i: number, index: number): ReadonlyMap<string, number> => {
    const key = `${i} ${index}`;
    const layer = layers[i] as Layer;
    const known =
      parts.get(key) ??
      partFeatures([1, layer.inWidth, ...layer.inDims], (b, x) =>
        emitLayer(b, x, layer, layer.choices[index] as Choice | 'skip', randomWeights),
      );
    parts.set(key, known);
    return known;
  };
  const statsByKey = new Map<string, FreeStats>();

  return {
    id: file.id,
    dims,
    size: dims.reduce((product, dim) => product * dim.choices.length, 1),
    ...moves,
    network,
    stats(architecture) {
      const key = moves.normalise(architecture).join();
      const known = statsByKey.get(key) ?? freeStats(network(architecture));
      statsByKey.set(key, known);
      return known;
    },
    features(architecture) {
      const sum = new Map(ends);
      const chosenParts = moves.normalise(architecture).map((index, i) => layerFeatures(i, index));
      for (const part of [...chosenParts, head]) {
        for (const [key, value] of part) sum.set(key, (sum.get(key) ?? 0) + value);
      }
      return sum;
    },
    blocks(architecture) {
      return mbconvBlocks(
        file,
        chosen(moves.normalise(architecture)).map((choice, i) => ({
          ...(layers[i] as Layer),
          choice,
          choiceName: choiceName(choice),
        })),
      );
    },
    /** The smallest and the largest architecture, by kernel, expansion and depth. */
    seeds: () => [
      layers.map(({ choices }) => extreme(choices, -1)),
      layers.map(({ choices }) => extreme(choices, 1)),
    ],
  };
}

const choiceName = (choice: Choice | 'skip'): string =>
  choice === 'skip' ? 'skip' : `k${choice.kernel}e${choice.expansion}`;

/** Kernel and expansion apart; an expansion of 0 leaves the layer out, with any kernel. */
function factorsOf(name: string, choices: Layer['choices']): NonNullable<Dim['factors']> {
  const ascending = (values: readonly number[]): number[] => [...new Set(values)].sort((a, b) => a - b);
  const operators = choices.filter((choice) => choice !== 'skip');
  const kernels = ascending(operators.map(({ kernel }) => kernel));
  const expansions = ascending(choices.map((choice) => (choice === 'skip' ? 0 : choice.expansion)));
  return {
    dims: [
      { name: `${name}.kernel`, choices: kernels },
      { name: `${name}.expansion`, choices: expansions },
    ],
    choiceAt: kernels.flatMap((kernel) =>
      expansions.map((expansion) =>
        choices.findIndex((choice) =>
          choice === 'skip' ? expansion === 0 : choice.kernel === kernel && choice.expansion === expansion,
        ),
      ),
    ),
  };
}

function extreme(choices: readonly (Choice | 'skip')[], sign: 1 | -1): number {
  const weight = (choice: Choice | 'skip'): number =>
    choice === 'skip' ? 0 : choice.expansion * 1000 + choice.kernel;
  return choices.reduce(
    (best, choice, i) => (sign * (weight(choice) - weight(choices[best] as Choice | 'skip')) > 0 ? i : best),
    0,
  );
}

/** Cost features of one part of a network, given its input's shape. */
function partFeatures(
  dims: readonly number[],
  emit: (b: GraphBuilder, x: string) => string,
  output?: string,
): ReadonlyMap<string, number> {
  const b = boundedBuilder('part');
  const x = b.input('x', 'float32', dims);
  const y = emit(b, x);
  if (y === x) return new Map();
  b.output(y, output);
  return costFeatures(countCost(b.build()));
}
