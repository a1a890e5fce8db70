import { type LoweringRule, unsupported } from '../lowering.js';
import { applied, combined, operandOf, wholeShape } from './steps.js';
import { lookup } from './unary.js';

/**
 * PRelu: a table where one slope holds for all elements. Otherwise the sum of what lies above zero and of what lies below
 * times its slope; one of the two is always zero, so that the sum is exact.
 */
export const prelu: LoweringRule = (node, lowering) => {
  const table = lowering.table(node);
  if (table) return lookup(node, lowering, table);
  const slope = operandOf(node, lowering, 1);
  if (!slope) throw unsupported(node, 'its slope is no float constant');
  const name = node.outputs[0] as string;
  const dims = lowering.dims(name);
  const quantisation = lowering.quantisation(name);
  const x = wholeShape(node, lowering, lowering.value(node, 0), dims);
  const above = applied(node, lowering, x, (value) => Math.max(0, value), {
    name: `${name}.above`,
    quantisation,
  });
  const below = applied(node, lowering, x, (value) => Math.min(0, value), {
    name: `${name}.below`,
    quantisation: x.quantisation,
  });
  const bent = combined(node, lowering, below, slope, { kind: 'mul', name: `${name}.bent`, quantisation });
  lowering.define(
    name,
    combined(node, lowering, above, { value: bent }, { kind: 'add', name, quantisation }),
  );
};
