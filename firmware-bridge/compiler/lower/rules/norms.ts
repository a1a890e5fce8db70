import { elementCount, type Node } from '../../../../daemon/network/graph.js';
import { type Quantisation, quantisationOf, rangeOf } from '../../quantise/quantisation.js';
import { type Lowering, type LoweringRule, nodeName, unsupported } from '../lowering.js';
import type { Value } from '../value.js';
import { larger } from './extremes.js';
import { constantAxes, reducedOutside, shaped } from './reductions.js';
import { applied } from './steps.js';

/** The most rows that a window record can say. */
const most = 65_535;

/**
 * ReduceL1, ReduceSumSquare and ReduceL2: a table of magnitudes or squares, whose sum is exact before its one rounding; the
 * root of a sum of squares is another table. Over one element each is one table.
 */
export const norm: LoweringRule = (node, lowering) => {
  const name = node.outputs[0] as string;
  const given = lowering.value(node, 0);
  const axes = constantAxes(node, lowering, given.dims.length);
  if (axes.length === 0) throw unsupported(node, 'it reduces no axis');
  const sums = summing(node, lowering, given, axes);
  const quantisation = lowering.quantisation(name);
  const term = node.op === 'ReduceL1' ? Math.abs : square;
  const define = (y: Value): Value => lowering.define(name, shaped(y, lowering.dims(name)));
  if (sums.rows === 1) {
    define(applied(node, lowering, sums.x, node.op === 'ReduceL2' ? Math.abs : term, { name, quantisation }));
    return;
  }
  const { min, max } = rangeOf(sums.x.quantisation);
  const reach = Math.max(-min, max);
  define(node.op === 'ReduceL2'
    ? rootOfSquares(node, lowering, sums, { name, quantisation, reach })
    : summed(node, lowering, sums, term, {
        name,
        terms: quantisationOf({ min: 0, max: term(reach) }),
        quantisation,
      }));
};

const square = (v: number): number => v * v;

/** How many times smaller the second range of a sum of squares is: its roots span an eighth of the result. */
const finer = 64;

/**
 * The root of a sum of squares. Eight bits of a sum hold no root below 4 % of the largest, so the sum is taken twice: over
 * its whole range, and over a small range that larger sums saturate. The larger root of the two is the result.
 */
function rootOfSquares(
  node: Node,
  lowering: Lowering,
  sums: Summing,
  { name, quantisation, reach }: { name: string; quantisation: Quantisation; reach: number },
): Value {
  const largest = rangeOf(quantisation).max;
  const limit = (largest * largest) / finer;
  const coarse = summed(node, lowering, sums, square, {
    name: `${name}.squares`,
    terms: quantisationOf({ min: 0, max: reach * reach }),
    quantisation: quantisationOf({ min: 0, max: largest * largest }),
  });
  const small = quantisationOf({ min: 0, max: limit });
  const fine = summed(node, lowering, sums, (v) => Math.min(limit, v * v), {
    name: `${name}.small-squares`,
    terms: small,
    quantisation: small,
  });
  const large = applied(node, lowering, coarse, (v) => (v > limit ? Math.sqrt(v) : 0), {
    name: `${name}.large`,
    quantisation,
  });
  const rest = applied(node, lowering, fine, Math.sqrt, { name: `${name}.small`, quantisation });
  return larger(node, lowering, large, { value: rest }, { name, quantisation });
}

/** A value with the reduced axes outside: sums over `rows` rows of `width` elements. */
interface Summing {
  readonly x: Value;
  readonly rows: number;
  readonly width: number;
  readonly dims: readonly number[];
  readonly order: readonly number[];
}

function summing(node: Node, lowering: Lowering, given: Value, axes: readonly number[]): Summing {
  const { x, inner, order } = reducedOutside(node, lowering, given, axes);
  const width = inner.reduce((product, axis) => product * (x.dims[axis] as number), 1);
  const rows = elementCount(x.dims) / width;
  if (rows > most || width > most)
    throw unsupported(node, `it adds up ${rows} rows of ${width} elements, at most ${most} can be`);
  return { x, rows, width, order, dims: x.dims.map((size, axis) => (axes.includes(axis) ? 1 : size)) };
}

/** The sum of a function of each element over the rows. */
function summed(
  node: Node,
  lowering: Lowering,
  { x, rows, width, dims, order }: Summing,
  term: (v: number) => number,
  { name, terms, quantisation }: { name: string; terms: Quantisation; quantisation: Quantisation },
): Value {
  const { storage, offset } = applied(node, lowering, x, term, {
    name: `${name}.terms`,
    quantisation: terms,
  });
  const y = lowering.allocate(name, dims, quantisation, order);
  lowering.emit({
    name: nodeName(node),
    // A sum is a mean in steps as many times finer.
    body: {
      kind: 'mean',
      x: terms,
      y: { ...quantisation, scale: quantisation.scale / rows },
      low: -128,
      high: 127,
    },
    reads: [
      { view: { storage, offset, batch: 1, batchStride: 0, rows, rowStride: width, width }, access: 'all' },
    ],
    write: { storage: y.storage, offset: 0, batch: 1, batchStride: 0, rows: 1, rowStride: width, width },
  });
  return y;
}
