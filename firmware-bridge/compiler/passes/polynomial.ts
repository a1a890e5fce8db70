import type { EditableGraph } from './editable-graph.js';

/** Coefficients by exponent. */
export type Polynomial = ReadonlyMap<number, number>;

/** Deep enough for what exporters spell out; a longer chain is no activation of ours. */
const maxDepth = 8;

/**
 * A value as a polynomial of another, found through sums, products and whole powers with constant numbers; undefined
 * where anything else takes part. Whether shapes stay the same is for the caller to see.
 */
export function polynomialOf(
  graph: EditableGraph,
  value: string | undefined,
  x: string,
  depth = 0,
): Polynomial | undefined {
  if (value === x) return new Map([[1, 1]]);
  const constant = graph.scalar(value);
  if (constant !== undefined) return new Map([[0, constant]]);
  const node = graph.producer(value);
  if (!node || depth > maxDepth) return undefined;
  const [left, right] = node.inputs.map((name) => polynomialOf(graph, name, x, depth + 1));
  if (!left || !right || node.inputs.length !== 2) return undefined;
  switch (node.op) {
    case 'Add':
      return combined(left, right, 1);
    case 'Sub':
      return combined(left, right, -1);
    case 'Mul':
      return product(left, right);
    case 'Div': {
      const divisor = numberOf(right);
      return divisor ? product(left, new Map([[0, 1 / divisor]])) : undefined;
    }
    case 'Pow': {
      const exponent = numberOf(right) ?? -1;
      if (!Number.isInteger(exponent) || exponent < 0 || exponent > 4) return undefined;
      let power: Polynomial = new Map([[0, 1]]);
      for (let i = 0; i < exponent; i++) power = product(power, left);
      return power;
    }
    default:
      return undefined;
  }
}

/** Whether a polynomial has these coefficients and no others, to the rounding of float32 and of constants as written. */
export function isPolynomial(
  given: Polynomial | undefined,
  wanted: Readonly<Record<number, number>>,
): boolean {
  if (!given) return false;
  const terms = [...given].filter(([, factor]) => factor !== 0);
  const exponents = Object.keys(wanted);
  return (
    terms.length === exponents.length &&
    exponents.every((exponent) => near(given.get(Number(exponent)), wanted[Number(exponent)] as number))
  );
}

/** Equal to five digits: more than int8 tells apart, fewer than any two constants in use differ by. */
export const near = (a: number | undefined, b: number): boolean =>
  a !== undefined && Math.abs(a - b) <= 1e-5 * Math.abs(b);

const numberOf = (polynomial: Polynomial): number | undefined =>
  [...polynomial.keys()].every((exponent) => exponent === 0) ? (polynomial.get(0) ?? 0) : undefined;

function combined(left: Polynomial, right: Polynomial, sign: number): Polynomial {
  const sum = new Map(left);
  for (const [exponent, factor] of right) sum.set(exponent, (sum.get(exponent) ?? 0) + sign * factor);
  return sum;
}

function product(left: Polynomial, right: Polynomial): Polynomial {
  const made = new Map<number, number>();
  for (const [a, x] of left) for (const [b, y] of right) made.set(a + b, (made.get(a + b) ?? 0) + x * y);
  return made;
}
