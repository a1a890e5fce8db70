import type { DType, Graph } from '../../../daemon/network/graph.js';
import { inferShapes } from '../../../daemon/network/infer-shapes.js';
import type { ConstantGrid } from '../quantise/constant-grid.js';
import { dequantiseConstants } from './dequantise-constants.js';
import { dropIdentities } from './drop-identities.js';
import { EditableGraph, type MadeValue } from './editable-graph.js';
import { foldBatchNorm, foldVectorAffine, standAloneNorm } from './fold-batch-norm.js';
import { foldConstants, type Shapes } from './fold-constants.js';
import { type FoldedChain, foldLowRank, type LinearCost } from './fold-low-rank.js';
import { foldPads } from './fold-pads.js';
import { fuseClamps } from './fuse-clamps.js';
import { fuseLinear, fuseScale } from './fuse-linear.js';
import { refuseUnknownAttributes } from './known-attributes.js';
import { recogniseActivations } from './recognise-activations.js';
import { recogniseLayerNorm } from './recognise-layer-norm.js';
import { recogniseMasks } from './recognise-masks.js';
import { dropFloatCasts, inSinglePrecision } from './single-precision.js';
import { spellGemm } from './spell-gemm.js';
import { spellPairs } from './spell-pairs.js';

export interface PrepareOptions {
  readonly cost: LinearCost;
  /** Whether low-rank chains are multiplied out; `cost` decides chain by chain. */
  readonly lowRank: 'cost' | 'always' | 'never';
  /** Whether the board may generate weights that a seed gives. */
  readonly generates?: boolean;
}

export interface Prepared {
  /** Fewer, fused operators (domain `hilda`); every value that is left means what it meant before. */
  readonly graph: Graph;
  /** Shapes of the network's values as it came. */
  readonly shapes: Shapes;
  /** Values that passes have made; every other one has the name it has in the network. */
  readonly made: ReadonlyMap<string, MadeValue>;
  readonly chains: readonly FoldedChain[];
  /** The steps of constants that the network gave as integers. */
  readonly grids: ReadonlyMap<string, ConstantGrid>;
  /** Types of the network's inputs and outputs as it came. */
  readonly portTypes: ReadonlyMap<string, DType>;
}

/** All passes, in an order in which each finds what the ones before it made. Throws what `inferShapes` throws, and
 * OPERATOR_UNSUPPORTED for attributes that nothing here reads. */
export function prepare(given: Graph, options: PrepareOptions): Prepared {
  const portTypes = new Map([...given.inputs, ...given.outputs].map(({ name, dtype }) => [name, dtype]));
  const network = inSinglePrecision(spellPairs(given));
  const shapes = inferShapes(network) as Shapes;
  refuseUnknownAttributes(network);
  const graph = new EditableGraph(network);
  const passes = [
    foldConstants,
    dequantiseConstants,
    foldConstants,
    dropFloatCasts,
    dropIdentities,
    foldPads,
    foldBatchNorm,
    recogniseLayerNorm,
    recogniseActivations,
    recogniseMasks,
    fuseScale,
    fuseLinear,
    spellGemm,
    foldVectorAffine,
    standAloneNorm,
    fuseClamps,
  ];
  for (const pass of passes) {
    pass(graph, shapes);
    graph.prune();
  }
  const chains = foldLowRank(graph, shapes, options.cost, options.lowRank, options.generates);
  const { made, grids } = graph;
  return { graph: graph.toGraph(), shapes, made, chains, grids, portTypes };
}
