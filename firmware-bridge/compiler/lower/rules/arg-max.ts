import { elementCount } from '../../../../daemon/network/graph.js';
import { axisOf, intAttribute } from '../../../../daemon/network/shape-rules/rule.js';
import { type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { View } from '../operators.js';

/** The most channels of a row that a record can say. */
const most = 65_535;

/** ArgMax and ArgMin: exact whole numbers. Rounding to int8 may make neighbours equal, of which the first or last counts. */
export const argMax: LoweringRule = (node, lowering) => {
  const given = lowering.value(node, 0);
  const axis = axisOf(node, intAttribute(node, 'axis', 0), given.dims.length);
  const width = given.dims[axis] as number;
  if (width > most) throw unsupported(node, `it chooses among ${width} elements, at most ${most} can be`);
  const axes = given.dims.map((_, other) => other);
  const x = lowering.arranged(node, given, [...axes.filter((other) => other !== axis), axis]);
  const name = node.outputs[0] as string;
  const y = lowering.allocateWhole(name, lowering.dims(name));
  const rows = elementCount(x.dims) / width;
  const view = (storage: number, offset: number, bytes: number): View => ({
    storage,
    offset,
    batch: 1,
    batchStride: 0,
    rows,
    rowStride: bytes,
    width: bytes,
  });
  lowering.emit({
    name: nodeName(node),
    body: {
      kind: 'argMax',
      least: node.op === 'ArgMin',
      last: intAttribute(node, 'select_last_index', 0) === 1,
    },
    reads: [{ view: view(x.storage, x.offset, width), access: 'rows' }],
    write: view(y.storage, y.offset, 4),
  });
  lowering.define(name, y);
};
