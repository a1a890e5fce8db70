import { elementCount } from '../../../../daemon/network/graph.js';
import { type Quantisation, quantisationOf } from '../../quantise/quantisation.js';
import { type LoweringRule, nodeName, unsupported } from '../lowering.js';
import { constantAxes, reducedOutside, shaped } from './reductions.js';
import { applied, rangeOf } from './steps.js';

/** The most rows that a window record can say. */
const most = 65_535;

/**
 * ReduceL1, ReduceSumSquare and ReduceL2: a table of magnitudes or squares, whose sum is exact before its one rounding; the
 * root of a sum of squares is another table.
 */
export const norm: LoweringRule = (node, lowering) => {
  const name = node.outputs[0] as string;
  const given = lowering.value(node, 0);
  const axes = constantAxes(node, lowering, given.dims.length);
  if (axes.length === 0) throw unsupported(node, 'it reduces no axis');
  const { x, inner, order } = reducedOutside(node, lowering, given, axes);
  const width = inner.reduce((product, axis) => product * (x.dims[axis] as number), 1);
  const rows = elementCount(x.dims) / width;
  if (rows > most || width > most)
    throw unsupported(node, `it adds up ${rows} rows of ${width} elements, at most ${most} can be`);
  const { min, max } = rangeOf(x.quantisation);
  const reach = Math.max(-min, max);
  const squares = node.op !== 'ReduceL1';
  const terms = applied(node, lowering, x, squares ? (v) => v * v : Math.abs, {
    name: `${name}.terms`,
    quantisation: quantisationOf({ min: 0, max: squares ? reach * reach : reach }),
  });
  const own = lowering.quantisation(name);
  const isRoot = node.op === 'ReduceL2';
  const largest = rangeOf(own).max;
  const sum: Quantisation = isRoot ? quantisationOf({ min: 0, max: largest * largest }) : own;
  const dims = x.dims.map((size, axis) => (axes.includes(axis) ? 1 : size));
  const y = lowering.allocate(isRoot ? `${name}.squares` : name, dims, sum, order);
  lowering.emit({
    name: nodeName(node),
    // A sum is a mean in steps as many times finer.
    body: {
      kind: 'mean',
      x: terms.quantisation,
      y: { ...sum, scale: sum.scale / rows },
      low: -128,
      high: 127,
    },
    reads: [
      {
        view: {
          storage: terms.storage,
          offset: terms.offset,
          batch: 1,
          batchStride: 0,
          rows,
          rowStride: width,
          width,
        },
        access: 'all',
      },
    ],
    write: { storage: y.storage, offset: 0, batch: 1, batchStride: 0, rows: 1, rowStride: width, width },
  });
  const root = isRoot ? applied(node, lowering, y, Math.sqrt, { name, quantisation: own }) : y;
  lowering.define(name, shaped(root, lowering.dims(name)));
};
