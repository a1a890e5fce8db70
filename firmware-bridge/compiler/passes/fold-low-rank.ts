import { seedOfName } from '../../../daemon/network/generated-signs.js';
import { elementCount, floatTensor, type Node } from '../../../daemon/network/graph.js';
import { type EditableGraph, fusedNode } from './editable-graph.js';
import type { Shapes } from './fold-constants.js';
import { isLinear } from './fuse-linear.js';

/** What a layer costs on a board; see `BoardCost` of its profile. */
export interface LinearCost {
  /** Cycles of a row of tokens through a layer, weights as they lie on the board. */
  readonly perMac: number;
  /** Cycles an output: accumulator set-up, requantisation, store. */
  readonly perOutput: number;
}

export interface FoldedChain {
  readonly name: string;
  readonly rank: number;
  readonly folded: boolean;
  /** Weights as a chain and multiplied out. */
  readonly chainWeights: number;
  readonly denseWeights: number;
}

/**
 * MCUFormer's low-rank chains x A B (A: in -> r, B: r -> out): multiplied out to one layer where that is cheaper on the
 * board, in cycles a row; equal cycles go to the smaller flash. A factor that the board generates is kept apart unless
 * `always` is chosen: its product would have to be stored. Returns what was decided, chain by chain.
 */
export function foldLowRank(
  graph: EditableGraph,
  shapes: Shapes,
  cost: LinearCost,
  choose: 'cost' | 'always' | 'never' = 'cost',
  generates = false,
): FoldedChain[] {
  const decided: FoldedChain[] = [];
  for (const old of graph.nodes) {
    const second = graph.producer(old.outputs[0]);
    if (!isLinear(second)) continue;
    const first = graph.privateProducer(second.inputs[0], 'Linear', second);
    const [a, b] = [first, second].map((node) => graph.floats(node?.inputs[1]));
    if (!isLinear(first) || !a || !b || 'min' in first.attributes || 'max' in first.attributes) continue;
    const inWidth = graph.constant(first.inputs[1])?.dims[0] as number;
    const rank = graph.constant(second.inputs[1])?.dims[0] as number;
    const outWidth = graph.constant(second.inputs[1])?.dims[1] as number;
    const rows = elementCount(shapes.get(second.outputs[0] as string)?.dims ?? [outWidth]) / outWidth;
    const chain = rows * (rank * (inWidth + outWidth) * cost.perMac + (rank + outWidth) * cost.perOutput);
    const dense = rows * (inWidth * outWidth * cost.perMac + outWidth * cost.perOutput);
    const free =
      generates && [first, second].some((node) => seedOfName(node.inputs[1] as string) !== undefined);
    // A product would not be the integers that the network gives.
    const fixed = [first, second].some((node) => graph.grids.has(node.inputs[1] as string));
    const folded = !fixed && (choose === 'always' || (choose === 'cost' && dense <= chain && !free));
    decided.push({
      name: second.name || (second.outputs[0] as string),
      rank,
      folded,
      chainWeights: rank * (inWidth + outWidth),
      denseWeights: inWidth * outWidth,
    });
    if (folded) multiplyOut(graph, first, second, { a, b, inWidth, rank, outWidth });
  }
  return decided;
}

function multiplyOut(
  graph: EditableGraph,
  first: Node,
  second: Node,
  {
    a,
    b,
    inWidth,
    rank,
    outWidth,
  }: { a: Float32Array; b: Float32Array; inWidth: number; rank: number; outWidth: number },
): void {
  const product = (rows: number, left: Float32Array): Float32Array => {
    const out = new Float32Array(rows * outWidth);
    const sums = new Float64Array(outWidth);
    for (let i = 0; i < rows; i++) {
      sums.fill(0);
      for (let r = 0; r < rank; r++) {
        const x = left[i * rank + r] as number;
        for (let n = 0; n < outWidth; n++)
          sums[n] = (sums[n] as number) + x * (b[r * outWidth + n] as number);
      }
      out.set(sums, i * outWidth);
    }
    return out;
  };
  const name = second.outputs[0] as string;
  const inner = first.inputs[2] ? graph.floats(first.inputs[2]) : undefined;
  const outer = second.inputs[2] ? graph.floats(second.inputs[2]) : undefined;
  const carried = inner ? product(1, inner) : new Float32Array(outWidth);
  const bias = carried.map((value, n) => value + (outer?.[n] ?? 0));
  graph.remove([first]);
  graph.replace(
    second,
    fusedNode(
      second,
      'Linear',
      [
        first.inputs[0] as string,
        graph.addConstant(`${name}.dense`, floatTensor([inWidth, outWidth], product(inWidth, a))),
        graph.addConstant(`${name}.shift`, floatTensor([outWidth], bias)),
      ],
      second.attributes,
    ),
  );
}
