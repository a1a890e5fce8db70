import { elementCount, type Node } from '../../../../daemon/network/graph.js';
import { axisOf, intAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import type { Quantisation } from '../../quantise/quantisation.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { View } from '../operators.js';
import { physicalOrder, rowsAlong, type Value } from '../value.js';

/** Probabilities lie in 0..1 for all images: softmax has the one scale that uses all 256 steps. */
const probability: Quantisation = { scale: 1 / 256, zeroPoint: -128 };

/** Steps of the scores so coarse that neighbours differ by e^16: what lies between two of them is lost. */
const coarsestScores = 16;

/** Throws OPERATOR_UNSUPPORTED for scores that int8 holds in steps too coarse for a softmax. */
export function refuseCoarse(node: Node, { quantisation: { scale } }: Value): void {
  if (scale <= coarsestScores) return;
  throw unsupported(
    node,
    `its input spans ${Math.round(255 * scale)}, of which int8 tells apart steps of ${scale.toPrecision(3)}`,
    'A mask that is added to scores must be constant, or near the scores.',
  );
}

/** The widest row that the firmware normalises (ABI.md, LAYER_NORM). */
const maxNormWidth = 4096;

/** Over one axis, the last by default; up to opset 12 over all axes from `axis` on, 1 by default, as one. */
export const softmax: LoweringRule = (node, lowering) => {
  const given = lowering.value(node, 0);
  const rank = given.dims.length;
  refuseCoarse(node, given);
  const isFlat = lowering.opset < 13;
  const first = softmaxAxis(node, lowering, rank);
  const axes = Array.from({ length: isFlat ? rank - first : 1 }, (_, i) => first + i);
  const { x, outer, inner } = alongInnermost(node, lowering, given, axes);
  const name = node.outputs[0] as string;
  const y = lowering.allocate(name, x.dims, probability, [...outer, ...inner]);
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'softmax', x: x.quantisation, y: probability },
    reads: [{ view: rowsAlong(x, outer, inner) as View, access: 'rows' }],
    write: rowsAlong(y, outer, inner) as View,
  });
  lowering.define(name, y);
};

/** An axis as long as the rank, which flattens everything before it, leaves rows of one element. */
function softmaxAxis(node: Node, lowering: Lowering, rank: number): number {
  const axis = intAttribute(node, 'axis', lowering.opset < 13 ? 1 : -1);
  return lowering.opset < 13 && axis === rank ? rank : axisOf(node, axis, rank);
}

/** Over all axes from `axis` on as one row, each of whose elements has a scale and a shift. */
export const layerNorm: LoweringRule = (node, lowering) => {
  const given = lowering.value(node, 0);
  const rank = given.dims.length;
  const axis = axisOf(node, intAttribute(node, 'axis', -1), rank);
  const axes = Array.from({ length: rank - axis }, (_, i) => axis + i);
  const width = elementCount(given.dims.slice(axis));
  if (width > maxNormWidth)
    throw unsupported(node, `it normalises rows of ${width} elements, at most ${maxNormWidth} can be`);
  const [scale, shift] = [1, 2].map((i) => parameters(node, lowering, i, width));
  if (!scale) throw unsupported(node, 'it needs a scale');
  const order = [...physicalOrder(given).filter((a) => !axes.includes(a)), ...axes];
  const x = lowering.arranged(node, given, order);
  const outer = order.slice(0, -axes.length);
  const name = node.outputs[0] as string;
  const y = lowering.allocate(name, x.dims, lowering.quantisation(name), order);
  lowering.emit({
    name: nodeName(node),
    body: {
      kind: 'layerNorm',
      x: x.quantisation,
      y: y.quantisation,
      scale,
      shift: shift ?? new Float32Array(width),
      epsilon: typeof node.attributes.epsilon === 'number' ? node.attributes.epsilon : 1e-5,
    },
    reads: [{ view: rowsAlong(x, outer, axes) as View, access: 'rows' }],
    write: rowsAlong(y, outer, axes) as View,
  });
  lowering.define(name, y);
};

/** A scale or shift with an element for each of a row's, or one for all; undefined where it is left out. */
function parameters(node: Node, lowering: Lowering, i: number, width: number): Float32Array | undefined {
  if (!node.inputs[i]) return undefined;
  const values = lowering.floats(node.inputs[i]);
  if (values?.length === width) return values;
  if (values?.length === 1) return new Float32Array(width).fill(values[0] as number);
  throw unsupported(node, `its input ${i} is no float constant of ${width} elements`);
}

/** The value dense with some axes innermost, in any order, and all others before them. */
function alongInnermost(
  node: Node,
  lowering: Lowering,
  value: Value,
  axes: readonly number[],
): { readonly x: Value; readonly outer: readonly number[]; readonly inner: readonly number[] } {
  const order = physicalOrder(value);
  const outer = order.filter((axis) => !axes.includes(axis));
  const inner = order.filter((axis) => axes.includes(axis));
  return { x: lowering.arranged(node, value, [...outer, ...inner]), outer, inner };
}
