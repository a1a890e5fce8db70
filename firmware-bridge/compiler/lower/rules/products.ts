import { seedOfName } from '../../../../daemon/network/generated-signs.js';
import type { Node } from '../../../../daemon/network/graph.js';
import { tapMeans } from '../../quantise/channel-means.js';
import { limitsOf, type Quantisation, quantisationOf } from '../../quantise/quantisation.js';
import { layerStep, quantiseWeights } from '../../quantise/quantise-weights.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { View } from '../operators.js';
import { matrixOf, reshaped, rowsOf, stridesIn, transposed, type Value } from '../value.js';
import { clampAttributes } from './clamp-attributes.js';
import { constant } from './layout.js';
import { repeated } from './operands.js';
import { repeatedAlong, splitWeights, weightParts } from './wide-weights.js';

/** Linear(x, weight [in, out], bias): rows of `in` to rows of `out`. */
export const linear: LoweringRule = (node, lowering) => {
  const weight = lowering.floats(node.inputs[1]);
  if (!weight) throw unsupported(node, 'its weights are no float constant');
  const [inputs, outputs] = lowering.dims(node.inputs[1] as string) as [number, number];
  const byOutput = new Float32Array(weight.length);
  for (let k = 0; k < inputs; k++)
    for (let n = 0; n < outputs; n++) byOutput[n * inputs + k] = weight[k * outputs + n] as number;
  const name = node.outputs[0] as string;
  const bias = lowering.floats(node.inputs[2]);
  const x = lowering.value(node, 0);
  const scales = lowering.weightScales(node, node.inputs[1] as string, 1);
  const parts = weightParts(byOutput, scales);
  const weights = scales && parts > 1 ? splitWeights(byOutput, scales, parts) : byOutput;
  const means = parts === 1 ? lowering.means(node.inputs[0] as string, x.dims.length - 1) : undefined;
  const layer = {
    outputs,
    weights,
    bias,
    scales,
    seed: seedOfName(node.inputs[1] as string),
    means: tapMeans(means, (channels) => (_, k) => channels[k] as number),
  };
  const rows = parts > 1 ? repeatedAlong(node, lowering, x, x.dims.length - 1, parts) : x;
  lowering.define(name, rowsTimes(node, lowering, rows, lowering.dims(name), layer));
};

/** A constant matrix times x (a Fourier transform along tokens). */
function mixing(node: Node, lowering: Lowering, weights: Float32Array): void {
  const [outputs, ...rest] = lowering.dims(node.inputs[0] as string);
  const x = lowering.value(node, 1);
  if (outputs === undefined || rest.length !== 1 || x.dims.length < 2)
    throw unsupported(node, 'the constant before an activation is no matrix');
  lowering.define(
    node.outputs[0] as string,
    matrixAlong(node, lowering, x, x.dims.length - 2, {
      outputs,
      weights,
      scales: lowering.weightScales(node, node.inputs[0] as string, 0),
    }),
  );
}

/**
 * A constant matrix, [out][in], along one axis of a value: what lies along it are the rows of a layer. `quantisation` is
 * that of the result, the node's own by default.
 */
export function matrixAlong(
  node: Node,
  lowering: Lowering,
  x: Value,
  axis: number,
  matrix: {
    readonly outputs: number;
    readonly weights: Float32Array;
    readonly scales?: Float32Array | undefined;
  },
  quantisation?: Quantisation,
): Value {
  const others = x.dims.flatMap((_, other) => (other === axis ? [] : [other]));
  const back = x.dims.map((_, other) => (other === axis ? others.length : others.indexOf(other)));
  const dims = [...others.map((other) => x.dims[other] as number), matrix.outputs];
  const layer = { ...matrix, bias: undefined };
  const y = rowsTimes(node, lowering, transposed(x, [...others, axis]), dims, layer, quantisation);
  return transposed(y, back);
}

/** A new value: the rows of x by a layer, whose weights are [out][in]. */
function rowsTimes(
  node: Node,
  lowering: Lowering,
  x: Value,
  dims: readonly number[],
  layer: Parameters<typeof quantiseWeights>[1],
  quantisation: Quantisation = lowering.quantisationFor(
    node.outputs[0] as string,
    layerStep(layer.weights, x.quantisation),
  ),
): Value {
  const rows = lowering.view(node, x, rowsOf);
  const order = dims.map((_, axis) => axis);
  const y = lowering.allocate(node.outputs[0] as string, dims, quantisation, order);
  const constants = quantiseWeights(nodeName(node), layer, x.quantisation, y.quantisation);
  const [low, high] = limitsOf(clampAttributes(node), y.quantisation);
  const written = rowsOf(y) as View;
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'linear', low, high, constants, x: x.quantisation, y: y.quantisation },
    reads: [{ view: rows, access: 'rows' }],
    // The input's rows may come in blocks; the output's then do too.
    write:
      rows.batch > 1
        ? { ...written, batch: rows.batch, rows: rows.rows, batchStride: rows.rows * written.rowStride }
        : written,
  });
  return y;
}

/** The last two axes change places. */
const swappedAxes = (rank: number): readonly number[] =>
  Array.from({ length: rank }, (_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis));

/**
 * The product of two matrices, or of batches of them: scores and their use in attention. Query heads that share keys and
 * values (b's batch axis has one element) read the same rows; matrices of a that are shared are copied.
 */
export const matMul: LoweringRule = (node, lowering) => {
  const mixed = lowering.isActivation(node.inputs[0]) ? undefined : lowering.floats(node.inputs[0]);
  if (
    mixed &&
    lowering.dims(node.inputs[0] as string).length === 2 &&
    lowering.value(node, 1).dims.length > 1
  )
    return mixing(node, lowering, mixed);
  const name = node.outputs[0] as string;
  const result = lowering.dims(name);
  const [left, right] = [operandOf(node, lowering, 0), operandOf(node, lowering, 1)];
  const rank = Math.max(left.dims.length, right.dims.length, 2);
  const b = ranked(right, rank, right.dims.length === 1 ? 'column' : 'matrix');
  const given = ranked(left, rank, left.dims.length === 1 ? 'row' : 'matrix');
  const batch = given.dims.slice(0, -2).map((size, i) => Math.max(size, b.dims[i] as number));
  const dims = [...batch, given.dims.at(-2) as number, b.dims.at(-1) as number];
  const isShared = batch.some((size, i) => given.dims[i] !== size);
  const a = isShared ? repeated(node, lowering, given, [...batch, ...given.dims.slice(-2)]) : given;
  // Where the result is transposed next, it is written in that order at once.
  const next = lowering.onlyReader(name);
  const perm = next?.op === 'Transpose' ? (next.attributes.perm as readonly number[] | undefined) : undefined;
  const keepsWidth = perm?.length === rank && perm.at(-1) === rank - 1 && result.length === rank;
  const shared = a.dims.some((size, i) => i < rank - 2 && size !== b.dims[i]);
  // The innermost batch axis goes with the product; those around it, where b repeats, are products of their own.
  const outer = shared ? a.dims.slice(0, Math.max(0, rank - 3)) : [];
  const liesIn = (order: readonly number[]): boolean =>
    matrixOf(slab({ ...a, dims, strides: stridesIn(dims, order) }, outer, 0)) !== undefined;
  const order = perm && keepsWidth && liesIn(perm) ? perm : dims.map((_, axis) => axis);
  const step = a.quantisation.scale * b.quantisation.scale * Number(node.attributes.scale ?? 1);
  const y = lowering.allocate(name, dims, lowering.quantisationFor(name, step), order);
  const count = outer.reduce((product, size) => product * size, 1);
  for (let i = 0; i < count; i++)
    product(node, lowering, slab(a, outer, i), slab(b, outer, i), slab(y, outer, i));
  lowering.define(name, result.length === rank ? y : (reshaped(y, result) as Value));
};

/** An activation, or a constant that lies with the activations for this product. */
function operandOf(node: Node, lowering: Lowering, i: number): Value {
  const name = node.inputs[i] as string;
  const values = lowering.isActivation(name) ? undefined : lowering.floats(name);
  if (!values) return lowering.value(node, i);
  const [min, max] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [0, 0]) as [
    number,
    number,
  ];
  return constant(node, lowering, lowering.dims(name), values, quantisationOf({ min, max }));
}

/** A value as matrices of `rank` axes: axes of one element before its own, and beside a vector's. */
function ranked(value: Value, rank: number, vector: 'row' | 'column' | 'matrix'): Value {
  const [last, stride] = [value.dims.at(-1) as number, value.strides.at(-1) as number];
  const [dims, strides] =
    vector === 'row'
      ? [
          [1, last],
          [last * stride, stride],
        ]
      : vector === 'column'
        ? [
            [last, 1],
            [stride, stride],
          ]
        : [value.dims, value.strides];
  const added = rank - dims.length;
  return {
    ...value,
    dims: [...new Array<number>(added).fill(1), ...dims],
    strides: [...new Array<number>(added).fill(0), ...strides],
  };
}

/** The i-th part of a value along its outermost axes, of which `outer` gives the sizes; an axis of one element repeats. */
function slab(value: Value, outer: readonly number[], i: number): Value {
  let [rest, offset] = [i, value.offset];
  for (let axis = outer.length - 1; axis >= 0; axis--) {
    const size = outer[axis] as number;
    if (value.dims[axis] !== 1) offset += (rest % size) * (value.strides[axis] as number);
    rest = Math.floor(rest / size);
  }
  const { dims, strides } = value;
  return { ...value, offset, dims: dims.slice(outer.length), strides: strides.slice(outer.length) };
}

function product(node: Node, lowering: Lowering, a: Value, b: Value, y: Value): void {
  const rank = a.dims.length;
  const left = lowering.view(node, a, matrixOf);
  // A transposed b lies as rows of its own: then each output is a product of two rows.
  const swap = swappedAxes(rank);
  const direct = matrixOf(b);
  const flipped = direct ? undefined : matrixOf(transposed(b, swap));
  const right = direct ?? flipped ?? lowering.view(node, b, matrixOf);
  const [low, high] = limitsOf(clampAttributes(node), y.quantisation);
  const write = matrixOf(y);
  if (!write) throw unsupported(node, `the layout of its output [${y.dims}]`);
  lowering.emit({
    name: nodeName(node),
    body: {
      kind: 'matmul',
      depth: a.dims.at(-1) as number,
      bTransposed: flipped !== undefined,
      a: a.quantisation,
      b: b.quantisation,
      y: y.quantisation,
      factor: Number(node.attributes.scale ?? 1),
      low,
      high,
    },
    reads: [
      { view: left, access: 'rows' },
      { view: right, access: 'all' },
    ],
    write,
  });
}
