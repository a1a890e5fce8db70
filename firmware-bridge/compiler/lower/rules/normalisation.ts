import { axisOf, intAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import type { Quantisation } from '../../quantise/quantisation.js';
import { type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { View } from '../operators.js';
import { physicalOrder, rowsAlong, type Value } from '../value.js';

/** Probabilities lie in 0..1 whatever the images: softmax has the one scale that uses all 256 steps. */
const probability: Quantisation = { scale: 1 / 256, zeroPoint: -128 };

export const softmax: LoweringRule = (node, lowering) => {
  const given = lowering.value(node, 0);
  const axis = axisOf(node, intAttribute(node, 'axis', -1), given.dims.length);
  const { x, order } = alongInnermost(given, axis, (order) => lowering.arranged(node, given, order));
  const name = node.outputs[0] as string;
  const y = lowering.allocate(name, x.dims, probability, order);
  const rows = (value: Value): View => rowsAlong(value, order.slice(0, -1), order.slice(-1)) as View;
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'softmax', x: x.quantisation, y: probability },
    reads: [{ view: rows(x), access: 'rows' }],
    write: rows(y),
  });
  lowering.define(name, y);
};

export const layerNorm: LoweringRule = (node, lowering) => {
  const given = lowering.value(node, 0);
  const axis = axisOf(node, intAttribute(node, 'axis', -1), given.dims.length);
  if (axis !== given.dims.length - 1) throw unsupported(node, 'it normalises over more than the last axis');
  const width = given.dims[axis] as number;
  const scale = lowering.floats(node.inputs[1]);
  if (!scale) throw unsupported(node, 'its scale is no float constant');
  const { x, order } = alongInnermost(given, axis, (order) => lowering.arranged(node, given, order));
  const name = node.outputs[0] as string;
  const y = lowering.allocate(name, x.dims, lowering.quantisation(name), order);
  const rows = (value: Value): View => rowsAlong(value, order.slice(0, -1), order.slice(-1)) as View;
  lowering.emit({
    name: nodeName(node),
    body: {
      kind: 'layerNorm',
      x: x.quantisation,
      y: y.quantisation,
      scale,
      shift: lowering.floats(node.inputs[2]) ?? new Float32Array(width),
      epsilon: typeof node.attributes.epsilon === 'number' ? node.attributes.epsilon : 1e-5,
    },
    reads: [{ view: rows(x), access: 'rows' }],
    write: rows(y),
  });
  lowering.define(name, y);
};

/** The value dense with `axis` innermost, and its order: as it lies, or moved. */
function alongInnermost(
  value: Value,
  axis: number,
  arrange: (order: readonly number[]) => Value,
): { readonly x: Value; readonly order: readonly number[] } {
  const order = [...physicalOrder(value).filter((a) => a !== axis), axis];
  return { x: arrange(order), order };
}
