import {
  floatsOf,
  floatTensor,
  type Graph,
  int64Tensor,
  type Node,
  type Tensor,
} from '../../../network/graph.js';
import { numbersOf } from '../../../network/tensor-numbers.js';
import type { WidthGroup } from './width-groups.js';

/** The network with the first `keep[i]` parts of every group: its weights are slices of the given ones. */
export function cutWidths(graph: Graph, groups: readonly WidthGroup[], keep: readonly number[]): Graph {
  const initializers = new Map(graph.initializers);
  const targets = new Map<string, number[]>();
  groups.forEach(({ cuts, reshapes }, g) => {
    const kept = keep[g] as number;
    for (const [name, { axis, unit }] of cuts) {
      const tensor = initializers.get(name) as Tensor;
      initializers.set(name, sliced(tensor, axis, kept * unit));
    }
    for (const node of graph.nodes) {
      const place = reshapes.get(node.name);
      if (!place) continue;
      const old = graph.initializers.get(node.inputs[1] as string) as Tensor;
      const target = targets.get(node.name) ?? [...(numbersOf(old) ?? [])];
      if ((target[place.at] ?? 0) > 0) target[place.at] = kept * place.unit;
      targets.set(node.name, target);
    }
  });
  const nodes = graph.nodes.map((node): Node => {
    const target = targets.get(node.name);
    if (!target) return node;
    const before = node.inputs[1] as string;
    if (target.join() === numbersOf(graph.initializers.get(before) as Tensor)?.join()) return node;
    // Equal targets share one constant, as builders write them.
    const name = `cut_${target.join('_')}`;
    initializers.set(name, int64Tensor(target));
    return { ...node, inputs: [node.inputs[0] as string, name] };
  });
  const used = new Set(nodes.flatMap((node) => node.inputs));
  return { ...graph, nodes, initializers: new Map([...initializers].filter(([name]) => used.has(name))) };
}

function sliced(tensor: Tensor, axis: number, kept: number): Tensor {
  const { dims } = tensor;
  const inner = dims.slice(axis + 1).reduce((a, b) => a * b, 1);
  const size = dims[axis] as number;
  const outer = dims.slice(0, axis).reduce((a, b) => a * b, 1);
  const from = floatsOf(tensor);
  const to = new Float32Array(outer * kept * inner);
  for (let o = 0; o < outer; o++)
    to.set(from.subarray(o * size * inner, (o * size + kept) * inner), o * kept * inner);
  return floatTensor(
    dims.map((n, i) => (i === axis ? kept : n)),
    to,
  );
}
