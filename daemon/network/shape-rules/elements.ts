import { type DType, elementCount } from '../graph.js';
import { maxStructuralElements } from '../tensor-numbers.js';
import type { RuleInput, RuleOutput } from './rule.js';

/** Elements of constants that rules compute, as a runtime would hold them. */

const integerRange: ReadonlyMap<DType, readonly [number, number]> = new Map([
  ['int8', [-(2 ** 7), 2 ** 7 - 1]],
  ['uint8', [0, 2 ** 8 - 1]],
  ['int16', [-(2 ** 15), 2 ** 15 - 1]],
  ['uint16', [0, 2 ** 16 - 1]],
  ['int32', [-(2 ** 31), 2 ** 31 - 1]],
  ['uint32', [0, 2 ** 32 - 1]],
  // What a double holds exactly; beyond, nothing is computed.
  ['int64', [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]],
  ['uint64', [0, Number.MAX_SAFE_INTEGER]],
]);

export const isIntegerType = (dtype: DType): boolean => integerRange.has(dtype);

/** A computed element in its type: floats rounded, integers in range. Undefined where that is not exact. */
function settle(dtype: DType, value: number | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (dtype === 'float32') return Math.fround(value);
  if (dtype === 'float64') return value;
  if (dtype === 'bool') return value ? 1 : 0;
  const range = integerRange.get(dtype);
  if (!range || !Number.isInteger(value) || value < range[0] || value > range[1]) return undefined;
  // Without the sign of a zero, which integers lack.
  return value + 0;
}

/** A shape with its elements, where all of them are known and few. */
export function withElements(
  shape: RuleOutput,
  elements: readonly (number | undefined)[] | undefined,
): RuleOutput {
  const { dtype, dims } = shape;
  if (elements?.length !== elementCount(dims)) return { dtype, dims };
  const settled = elements.map((value) => settle(dtype, value));
  return settled.every((value) => value !== undefined) ? { dtype, dims, constant: settled } : { dtype, dims };
}

/** A shape with elements that were only moved, so that even those a double rounds stand for themselves. */
export function withMoved(shape: RuleOutput, elements: readonly number[] | undefined): RuleOutput {
  const { dtype, dims } = shape;
  return elements?.length === elementCount(dims) ? { dtype, dims, constant: elements } : { dtype, dims };
}

/** Whether elements of a shape are carried; sizes that are no whole numbers are told where the shape is checked. */
export const isFew = (dims: readonly number[]): boolean =>
  dims.every((size) => Number.isInteger(size) && size >= 0) && elementCount(dims) <= maxStructuralElements;

/** Elements between rows of each axis. */
export const stridesOf = (dims: readonly number[]): number[] =>
  dims.map((_, axis) => elementCount(dims.slice(axis + 1)));

/** Calls `at` with the index of each element of a shape, in row-major order; undefined for a large shape. */
export function mapIndices<T>(dims: readonly number[], at: (index: readonly number[]) => T): T[] | undefined {
  if (!isFew(dims)) return undefined;
  const strides = stridesOf(dims);
  return Array.from({ length: elementCount(dims) }, (_, flat) =>
    at(dims.map((size, axis) => Math.floor(flat / (strides[axis] as number)) % size)),
  );
}

/** Position, in a tensor of `from`, of the element that broadcasting puts at `index`. */
function broadcastPosition(from: readonly number[], index: readonly number[]): number {
  const strides = stridesOf(from);
  const ahead = index.length - from.length;
  return from.reduce(
    (sum, size, axis) => sum + (size === 1 ? 0 : (index[axis + ahead] as number) * (strides[axis] as number)),
    0,
  );
}

/** Joins the inputs element by element under broadcasting where all are constant. */
export function joined(
  input: RuleInput,
  shape: RuleOutput,
  count: number,
  join: (values: readonly number[]) => number | undefined,
): RuleOutput {
  const sources: { readonly dims: readonly number[]; readonly values: readonly number[] }[] = [];
  for (let i = 0; i < count; i++) {
    const values = input.constant(i);
    // A number beyond the integers of a double was rounded when it was read.
    if (!values || (isIntegerType(input.shape(i).dtype) && !values.every(Number.isSafeInteger))) return shape;
    sources.push({ dims: input.shape(i).dims, values });
  }
  return withElements(
    shape,
    mapIndices(shape.dims, (index) =>
      join(sources.map(({ dims, values }) => values[broadcastPosition(dims, index)] as number)),
    ),
  );
}

/** Moves elements of input i: `from` names the source index of each element of the new shape. */
export function moved(
  input: RuleInput,
  i: number,
  dims: readonly number[],
  from: (index: readonly number[]) => readonly number[],
): RuleOutput {
  const { dtype, dims: source } = input.shape(i);
  const values = input.constant(i);
  const strides = stridesOf(source);
  const elements =
    values &&
    mapIndices(dims, (index) => {
      const at = from(index).reduce((sum, place, axis) => sum + place * (strides[axis] as number), 0);
      return values[at] as number;
    });
  return withMoved({ dtype, dims }, elements);
}

/** The elements of input i in the same order under a new shape. */
export const reshaped = (input: RuleInput, i: number, dims: readonly number[]): RuleOutput =>
  withMoved({ dtype: input.shape(i).dtype, dims }, input.constant(i));
