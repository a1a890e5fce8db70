import { z } from 'zod';
import type { Architecture } from '../../core/architecture.js';
import { costFeatures, countCost } from '../../network/cost.js';
import type { Graph, Node } from '../../network/graph.js';
import { quantiseNodes, type RangeOf } from '../../network/quantise-nodes.js';
import type { Dim, FreeStats, Space, WeightSource } from './contract.js';
import { listLayers, mbconvFileSchema } from './mbconv/file.js';
import { mbconvSpace } from './mbconv/mbconv.js';
import { namedFile } from './parts/file-fields.js';
import { freeStats } from './parts/free-stats.js';
import { indexMoves } from './parts/index-moves.js';

/**
 * Number formats as decisions beside those of another space (SimQ-NAS, Sridhar et al. 2023: bit widths layer by layer in
 * one search with the architecture): stem, every searched layer and head are float32 or int8 each.
 */
export const quantisedFileSchema = z.strictObject({
  ...namedFile('quantised'),
  /** The space without the formats; a super-network trained for it serves this one. */
  space: mbconvFileSchema,
});

export type QuantisedFile = z.infer<typeof quantisedFileSchema>;

const formats = ['float32', 'int8'] as const;
const int8 = formats.indexOf('int8');

export function quantisedSpace(file: QuantisedFile): Space {
  const base = mbconvSpace(file.space);
  const baseDims = base.dims as readonly Dim[];
  const layers = listLayers(file.space);
  /** How the names of a part's constants begin. */
  const parts = [
    { name: 'stem', prefixes: ['stem.', 'first.'] },
    ...layers.map(({ name }) => ({ name, prefixes: [`${name}.`] })),
    { name: 'head', prefixes: ['head.', 'classifier.'] },
  ];
  const dims: Dim[] = [
    ...baseDims,
    ...parts.map(({ name }): Dim => ({ name: `${name}.format`, choices: formats })),
  ];
  const isSkipped = (indices: readonly number[], layer: number): boolean =>
    baseDims[layer]?.choices[indices[layer] as number] === 'skip';
  // A layer left out has no format. Part 0 is the stem, part l + 1 layer l.
  const moves = indexMoves(file.id, dims, (indices) =>
    indices.map((index, i) => {
      const layer = i - baseDims.length - 1;
      return layer >= 0 && layer < layers.length && isSkipped(indices, layer) ? 0 : index;
    }),
  );

  const baseArchitecture = (architecture: Architecture): readonly number[] =>
    moves.normalise(architecture).slice(0, baseDims.length);

  const quantise = (
    network: Graph,
    architecture: Architecture,
    rangeOf: RangeOf,
    shapesOnly = false,
  ): Graph => {
    const chosen = moves.normalise(architecture).slice(baseDims.length);
    const partOf = partsOfNodes(network, parts);
    const isInt8 = (node: Node): boolean => chosen[partOf.get(node) ?? -1] === int8;
    return quantiseNodes(network, { isInt8, rangeOf, shapesOnly });
  };
  const network = (architecture: Architecture, weights?: WeightSource): Graph =>
    quantise(base.network(baseArchitecture(architecture), weights), architecture, () => undefined);
  const counted = new Map<string, { stats: FreeStats; features: ReadonlyMap<string, number> }>();
  const countOf = (
    architecture: Architecture,
  ): { stats: FreeStats; features: ReadonlyMap<string, number> } => {
    const key = moves.normalise(architecture).join();
    let known = counted.get(key);
    if (!known) {
      const float = base.network(baseArchitecture(architecture));
      const cost = countCost(quantise(float, architecture, () => undefined, true));
      known = { stats: freeStats(cost), features: costFeatures(cost) };
      counted.set(key, known);
    }
    return known;
  };

  return {
    id: file.id,
    dims,
    // Stem and head, then two formats of every choice but `skip`.
    size: layers.reduce(
      (product, { choices }) =>
        product * choices.reduce((sum, choice) => sum + (choice === 'skip' ? 1 : formats.length), 0),
      formats.length ** 2,
    ),
    ...moves,
    network,
    stats: (architecture) => countOf(architecture).stats,
    features: (architecture) => countOf(architecture).features,
    formats: { base, baseArchitecture, quantise: (graph, of, rangeOf) => quantise(graph, of, rangeOf) },
    /** The smallest and the largest network, each in either format throughout. */
    seeds() {
      const [smallest, largest] = (base.seeds as NonNullable<Space['seeds']>)() as [
        readonly number[],
        readonly number[],
      ];
      const all = (seed: readonly number[], format: number): readonly number[] =>
        moves.normalise([...seed, ...parts.map(() => format)]);
      return [all(smallest, int8), all(smallest, 0), all(largest, int8), all(largest, 0)];
    },
  };
}

/** A node belongs to the part whose constants were read last, in the order of the network. */
function partsOfNodes(
  { nodes, initializers }: Graph,
  parts: readonly { readonly prefixes: readonly string[] }[],
): ReadonlyMap<Node, number> {
  let current = -1;
  return new Map(
    nodes.map((node) => {
      const constants = node.inputs.filter((name) => initializers.has(name));
      const found = parts.findIndex(({ prefixes }) =>
        constants.some((name) => prefixes.some((prefix) => name.startsWith(prefix))),
      );
      if (found >= 0) current = found;
      return [node, current];
    }),
  );
}
