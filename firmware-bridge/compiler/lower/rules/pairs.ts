import { lookupTable } from '../../quantise/lookup-table.js';
import { byteForm } from '../element-forms.js';
import { type LoweringRule, nodeName } from '../lowering.js';
import { physicalOrder } from '../value.js';
import { elements } from './unary.js';

/** QuantizeLinear: the bytes as they are where the value lies on this grid already, else rounded anew by a table. */
export const quantizeLinear: LoweringRule = (node, lowering) => {
  const name = node.outputs[0] as string;
  const dtype = lowering.dtype(name);
  const grid = lowering.fixed.ofPair(node, dtype);
  const x = lowering.value(node, 0);
  const same = x.quantisation.scale === grid.scale && x.quantisation.zeroPoint === grid.zeroPoint;
  if (same) {
    lowering.define(name, { ...x, quantisation: byteForm(dtype) });
    return;
  }
  const dense = lowering.dense(node, x);
  const order = physicalOrder(dense);
  const y = lowering.allocate(name, dense.dims, grid, order);
  lowering.emit({
    name: nodeName(node),
    body: { kind: 'lookup', table: lookupTable((value) => value, x.quantisation, grid) },
    reads: [{ view: elements(dense, order), access: 'rows' }],
    write: elements(y, order),
  });
  lowering.define(name, { ...y, quantisation: byteForm(dtype) });
};

/** DequantizeLinear: the same bytes, which now stand for steps of a scale. */
export const dequantizeLinear: LoweringRule = (node, lowering) => {
  const quantisation = lowering.fixed.ofPair(node, lowering.dtype(node.inputs[0] as string));
  lowering.define(node.outputs[0] as string, { ...lowering.value(node, 0), quantisation });
};
