import type { Draft, NodeDraft } from './draft.js';
import { anyValue } from './elementwise.js';
import type { Attributes } from './model.js';
import { imageOf } from './windows.js';

/** Reductions, the positions of extremes, and normalisations. */
const reduce = (d: Draft): NodeDraft[] => {
  const op = d.pick(
    'ReduceMean ReduceMean ReduceSum ReduceSum ReduceMax ReduceMin ReduceL1 ReduceL2 ReduceSumSquare ReduceProd ReduceLogSumExp'.split(
      ' ',
    ),
  );
  const x = anyValue(d);
  const rank = d.dims(x).length;
  const negative = d.opset >= 11 && d.chance(0.4);
  const axes = Array.from({ length: rank }, (_, axis) => axis).filter(() => d.chance(0.5));
  const named = negative ? axes.map((axis) => axis - rank) : axes;
  const keep: Attributes = d.chance(0.6) ? { keepdims: { int: d.int(0, 1) } } : {};
  const asInput = d.opset >= (op === 'ReduceSum' ? 13 : 18);
  const noop: Attributes = asInput && d.chance(0.2) ? { noop_with_empty_axes: { int: 1 } } : {};
  if (!asInput) return [d.node(op, [x], { ...keep, ...(axes.length > 0 && { axes: { ints: named } }) })];
  const inputs = axes.length > 0 || d.chance(0.4) ? [x, d.ints(named)] : [x];
  return [d.node(op, inputs, { ...keep, ...noop })];
};

const extreme = (d: Draft): NodeDraft[] => {
  const x = anyValue(d);
  const axis = d.axis(d.dims(x).length);
  return [
    d.node(d.pick(['ArgMax', 'ArgMin']), [x], {
      ...(d.chance(0.8) && { axis: { int: axis } }),
      ...(d.chance(0.6) && { keepdims: { int: d.int(0, 1) } }),
      ...(d.opset >= 12 && d.chance(0.3) && { select_last_index: { int: 1 } }),
    }),
  ];
};

const softmax = (d: Draft): NodeDraft[] => {
  const x = anyValue(d);
  const axis = d.axis(d.dims(x).length);
  const at: Attributes = d.chance(0.75) ? { axis: { int: axis } } : {};
  return [d.node(d.pick(['Softmax', 'Softmax', 'Softmax', 'LogSoftmax']), [x], at)];
};

const batchNorm = (d: Draft): NodeDraft[] => {
  const x = d.valueOr(
    (dims) => dims.length >= 2,
    () => [d.int(1, 2), d.int(1, 6), d.int(1, 5)],
  );
  const channels = d.dims(x)[1] as number;
  const variance = d.constant({
    type: 'float32',
    dims: [channels],
    data: Float32Array.from({ length: channels }, () => 0.3 + d.rng.next()),
  });
  const inputs = [
    x,
    d.weight([channels], 1, x),
    d.weight([channels], 0.5, x),
    d.weight([channels], 0.5, x),
    variance,
  ];
  return [
    d.node('BatchNormalization', inputs, {
      ...(d.chance(0.5) && { epsilon: { float: d.pick([1e-3, 1e-5, 0.1]) } }),
      ...(d.chance(0.3) && { momentum: { float: 0.8 } }),
    }),
  ];
};

const layerNorm = (d: Draft): NodeDraft[] | undefined => {
  if (d.opset < 17) return undefined;
  const x = anyValue(d);
  const dims = d.dims(x);
  const axis = d.axis(dims.length);
  const normalised = dims.slice(axis < 0 ? axis + dims.length : axis);
  const inputs = [x, d.weight(normalised, 1, x), ...(d.chance(0.6) ? [d.weight(normalised, 0.4, x)] : [])];
  return [
    d.node('LayerNormalization', inputs, {
      ...((d.chance(0.8) || axis !== -1) && { axis: { int: axis } }),
      ...(d.chance(0.4) && { epsilon: { float: d.pick([1e-3, 1e-2]) } }),
    }),
  ];
};

/** Layer normalisation as exporters spelt it before there was an operator, over one axis or several. */
const spelledNorm = (d: Draft): NodeDraft[] => {
  const x = d.valueOr(
    (dims) => dims.length >= 2,
    () => [1, d.int(2, 5), d.int(2, 6)],
  );
  const rank = d.dims(x).length;
  const axes = d.pick([[rank - 1], [rank - 1], [rank - 2], [rank - 2, rank - 1]]);
  const mean = (of: string): NodeDraft =>
    d.opset < 18
      ? d.node('ReduceMean', [of], { axes: { ints: axes }, keepdims: { int: 1 } })
      : d.node('ReduceMean', [of, d.ints(axes)], { keepdims: { int: 1 } });
  const out = (node: NodeDraft): string => node.outputs[0] as string;
  const middle = mean(x);
  const centred = d.node('Sub', [x, out(middle)]);
  const square = d.chance(0.5)
    ? d.node('Pow', [out(centred), d.floats([2], [])])
    : d.node('Mul', [out(centred), out(centred)]);
  const variance = mean(out(square));
  const safe = d.node('Add', [out(variance), d.floats([d.pick([1e-5, 1e-2])], [])]);
  const deviation = d.node('Sqrt', [out(safe)]);
  const normal = d.node('Div', [out(centred), out(deviation)]);
  const nodes = [middle, centred, square, variance, safe, deviation, normal];
  if (d.chance(0.5)) return nodes;
  const width = d.dims(x).at(-1) as number;
  const scaled = d.node('Mul', [out(normal), d.weight([width], 1, x)]);
  return [...nodes, scaled, d.node('Add', [out(scaled), d.weight([width], 0.4, x)])];
};

const instanceNorm = (d: Draft): NodeDraft[] => {
  const x = imageOf(d);
  const channels = d.dims(x)[1] as number;
  const epsilon: Attributes = d.chance(0.4) ? { epsilon: { float: 1e-2 } } : {};
  return [
    d.node('InstanceNormalization', [x, d.weight([channels], 1, x), d.weight([channels], 0.4, x)], epsilon),
  ];
};

export const reductionMakers = [
  reduce,
  reduce,
  reduce,
  extreme,
  softmax,
  softmax,
  batchNorm,
  layerNorm,
  spelledNorm,
  instanceNorm,
];
