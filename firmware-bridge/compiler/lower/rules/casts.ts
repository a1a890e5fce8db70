import type { DType } from '../../../../daemon/network/graph.js';
import { lookupTable } from '../../quantise/lookup-table.js';
import { byteForm, elementForm } from '../element-forms.js';
import { type LoweringRule, nodeName, unsupported } from '../lowering.js';
import { physicalOrder } from '../value.js';
import { elements } from './unary.js';

/** Signed types that an int32 on the board stands for, by width. */
const widths: ReadonlyMap<DType, number> = new Map([
  ['int16', 16],
  ['int32', 32],
  ['int64', 64],
]);

/** Cast where every value of the source has its value in the target: the same bytes, or a table of 256. */
export const cast: LoweringRule = (node, lowering) => {
  const [input, output] = [node.inputs[0] as string, node.outputs[0] as string];
  const [from, to] = [lowering.dtype(input), lowering.dtype(output)];
  const x = lowering.value(node, 0);
  const [source, target] = [elementForm(from), elementForm(to)];
  const widens = from === to || (widths.get(to) ?? 0) >= (widths.get(from) ?? 99);
  if (target === 'real' && source !== 'whole') lowering.define(output, x);
  else if (source === 'whole' && target === 'whole' && widens) lowering.define(output, x);
  else if (source !== 'whole' && target === 'byte') {
    const dense = lowering.dense(node, x);
    const order = physicalOrder(dense);
    const quantisation = byteForm(to);
    const y = lowering.allocate(output, dense.dims, quantisation, order);
    lowering.emit({
      name: nodeName(node),
      body: { kind: 'lookup', table: lookupTable(converted(to), dense.quantisation, quantisation) },
      reads: [{ view: elements(dense, order), access: 'rows' }],
      write: elements(y, order),
    });
    lowering.define(output, y);
  } else throw unsupported(node, `it casts ${from} to ${to}, which may hold other numbers`);
};

/** To bool: true unless zero; to an integer without its fraction, integers beyond the range modulo 256. */
function converted(to: DType): (value: number) => number {
  if (to === 'bool') return (value) => (value === 0 ? 0 : 1);
  const low = to === 'int8' ? -128 : 0;
  return (value) => ((((Math.trunc(value) - low) % 256) + 256) % 256) + low;
}
