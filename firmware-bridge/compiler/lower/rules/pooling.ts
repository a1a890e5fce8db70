import type { Node } from '../../../../daemon/network/graph.js';
import { axisOf, intAttribute, intsAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { View } from '../operators.js';
import { rowsAlong } from '../value.js';
import { defineImage, imageDims, imageOf, linesOf, windowOf } from './convolution.js';

export const pooling: LoweringRule = (node, lowering) => {
  const kernel = intsAttribute(node, 'kernel_shape') as readonly number[];
  if (kernel.length > 2) throw unsupported(node, 'it has more than two spatial axes');
  const window = windowOf(node, lowering, [kernel.at(-2) ?? 1, kernel.at(-1) as number]);
  const average = node.op === 'AveragePool';
  if (average && window.dilation.some((d) => d !== 1)) throw unsupported(node, 'it is dilated');
  const x = imageOf(node, lowering);
  const name = node.outputs[0] as string;
  // The largest of several values is one of them: it keeps their quantisation.
  const quantisation = average ? lowering.quantisation(name) : x.quantisation;
  const y = lowering.allocate(name, imageDims(lowering.dims(name)), quantisation);
  lowering.emit({
    name: nodeName(node),
    body: {
      kind: average ? 'averagePool' : 'maxPool',
      window,
      countsPadding: intAttribute(node, 'count_include_pad', 0) === 1,
      x: x.quantisation,
      y: quantisation,
      low: -128,
      high: 127,
    },
    reads: [{ view: linesOf(x), access: 'window' }],
    write: linesOf(y),
  });
  defineImage(lowering, name, y);
};

export const globalAverage: LoweringRule = (node, lowering) => {
  const rank = lowering.value(node, 0).dims.length;
  mean(
    node,
    lowering,
    Array.from({ length: rank - 2 }, (_, i) => i + 2),
  );
};

/** ReduceMean and ReduceSum. */
export const reduce: LoweringRule = (node, lowering) => {
  const { dims } = lowering.value(node, 0);
  const axes = intsAttribute(node, 'axes') ?? lowering.numbers(node.inputs[1]);
  if (!axes) throw unsupported(node, 'its axes are not constant');
  const reduced = axes.map((axis) => axisOf(node, axis, dims.length));
  const count = reduced.reduce((product, axis) => product * (dims[axis] as number), 1);
  mean(node, lowering, reduced, node.op === 'ReduceSum' ? count : 1);
};

/** Mean over some axes, which must be rows of the others, times a factor. */
function mean(node: Node, lowering: Lowering, axes: readonly number[], factor = 1): void {
  const given = lowering.value(node, 0);
  const all = given.dims.map((_, axis) => axis);
  const kept = all.filter((axis) => !axes.includes(axis));
  const take = (value: typeof given): View | undefined => {
    const view = rowsAlong(value, axes, kept);
    return view?.batch === 1 ? view : undefined;
  };
  const x = take(given) ?? take(lowering.arranged(node, given, [...axes, ...kept]));
  if (!x) throw unsupported(node, `it takes the mean of [${given.dims}] over the axes ${axes}`);
  const name = node.outputs[0] as string;
  const dims = lowering.dims(name);
  const y = lowering.allocate(
    name,
    dims,
    lowering.quantisation(name),
    dims.map((_, axis) => axis),
  );
  const write = { ...x, storage: y.storage, offset: 0, rows: 1, rowStride: x.width };
  // A sum is a mean in steps as many times finer.
  const steps = { ...y.quantisation, scale: y.quantisation.scale / factor };
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'mean', x: given.quantisation, y: steps, low: -128, high: 127 },
    reads: [{ view: x, access: 'all' }],
    write,
  });
  lowering.define(name, y);
}
