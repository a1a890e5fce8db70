import { z } from 'zod';
import type { Architecture } from '../../../core/architecture.js';
import { HildaError } from '../../../core/errors.js';
import { costFeatures, countCost } from '../../../network/cost.js';
import { elementCount, floatsOf, floatTensor, type Graph } from '../../../network/graph.js';
import type { Space, WeightSource } from '../contract.js';
import { cutWidths } from '../parts/cut-widths.js';
import { namedFile } from '../parts/file-fields.js';
import { freeStats } from '../parts/free-stats.js';
import { indexMoves } from '../parts/index-moves.js';
import { widthGroups } from '../parts/width-groups.js';

export const instatuneFileSchema = z.strictObject({
  ...namedFile('instatune'),
  /** An ONNX file in the folder `networks` beside `spaces`. */
  network: z.string().regex(/^[\w-][\w.-]*\.onnx$/, 'the name of an ONNX file'),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
});

export type InstatuneFile = z.infer<typeof instatuneFileSchema>;

/** Shares of a hidden width to choose from; heads are counted one by one down to a quarter. */
const shares = [0.25, 0.5, 0.75, 1] as const;

/**
 * A space made of a user's own network (InstaTune, Sridhar et al. 2023): every hidden width and every number of heads
 * that can be cut is a decision, and all sub-networks share the given weights as leading slices. Without other weights
 * `network` cuts the given ones; with a source, each constant is asked for by its name in the given network, so that
 * what trains a super-network fine-tunes this one. Throws SPACE_INVALID where nothing can be cut.
 */
export function instatuneSpace(id: string, graph: Graph): Space {
  const groups = widthGroups(graph);
  if (groups.length === 0)
    throw new HildaError('SPACE_INVALID', `no width of ${graph.name} can be cut`, {
      hint: 'Widths between two products with constant matrices can be: MLPs and attention heads.',
    });
  const keepOf = groups.map(({ kind, parts }) => {
    const least = Math.max(1, Math.ceil(parts / 4));
    const counts =
      kind === 'heads'
        ? Array.from({ length: parts - least + 1 }, (_, i) => least + i)
        : shares.map((share) => Math.max(1, Math.round(parts * share)));
    return [...new Set(counts)];
  });
  const learnt = learntConstants(graph);
  const dims = groups.map(({ kind, name }, i) => ({
    name: `${name}.${kind}`,
    choices: keepOf[i] as number[],
  }));
  const moves = indexMoves(id, dims, (indices) => indices);
  const network = (architecture: Architecture, weights?: WeightSource): Graph => {
    const indices = moves.normalise(architecture);
    const cut = cutWidths(
      graph,
      groups,
      indices.map((index, i) => keepOf[i]?.[index] as number),
    );
    if (!weights) return cut;
    const initializers = [...cut.initializers].map(([name, tensor]) =>
      learnt.has(name)
        ? ([name, floatTensor(tensor.dims, weights.tensor(name, tensor.dims))] as const)
        : ([name, tensor] as const),
    );
    return { ...cut, initializers: new Map(initializers) };
  };
  return {
    id,
    dims,
    size: dims.reduce((product, dim) => product * dim.choices.length, 1),
    ...moves,
    network,
    stats: (architecture) => freeStats(network(architecture)),
    features: (architecture) => costFeatures(countCost(network(architecture))),
    weights: {
      tensor(name, asked) {
        const tensor = graph.initializers.get(name);
        if (!tensor || tensor.dims.join() !== asked.join())
          throw new HildaError('SUPERNET_INVALID', `${graph.name} has no tensor ${name} [${asked}]`);
        return floatsOf(tensor);
      },
    },
    seeds: () => [dims.map(() => 0), dims.map((dim) => dim.choices.length - 1)],
  };
}

/** Float constants that training may move: no scalars of a formula, no running statistics. */
function learntConstants({ nodes, initializers }: Graph): ReadonlySet<string> {
  const statistics = new Set(
    nodes.flatMap(({ op, inputs }) => (op === 'BatchNormalization' ? inputs.slice(3) : [])),
  );
  return new Set(
    [...initializers].flatMap(([name, { dtype, dims }]) =>
      dtype === 'float32' && elementCount(dims) > 1 && !statistics.has(name) ? [name] : [],
    ),
  );
}
