import { elementCount } from '../../../daemon/network/graph.js';

/**
 * The steps that a float constant is known to lie in, since the network gave it as integers: element = scale (q - zero
 * point), q int8. One scale for all, or one for each place along `axis`.
 */
export interface ConstantGrid {
  readonly scales: Float32Array;
  readonly axis: number | undefined;
  /** As a board holds it (uint8 less 128); of use where one scale is everybody's. */
  readonly zeroPoint: number;
}

/** The grid of the same constant, transposed. */
export const transposedGrid = (
  grid: ConstantGrid | undefined,
  perm: readonly number[],
): ConstantGrid | undefined =>
  grid && (grid.axis === undefined ? grid : { ...grid, axis: perm.indexOf(grid.axis) });

/** The grid of the same elements under another shape; undefined where the axis of the scales is split or joined. */
export function reshapedGrid(
  grid: ConstantGrid | undefined,
  from: readonly number[],
  to: readonly number[],
): ConstantGrid | undefined {
  if (!grid || grid.axis === undefined) return grid;
  const before = elementCount(from.slice(0, grid.axis));
  const size = from[grid.axis];
  const axis = to.findIndex((dim, i) => dim === size && elementCount(to.slice(0, i)) === before);
  return axis < 0 ? undefined : { ...grid, axis };
}

/** The grid of a constant times a factor, or times one for each place along `axis`. Undefined where it is no such grid. */
export function scaledGrid(
  grid: ConstantGrid | undefined,
  factors: Float32Array | number,
  axis?: number,
): ConstantGrid | undefined {
  if (!grid) return undefined;
  const of = (i: number): number => Math.abs(typeof factors === 'number' ? factors : (factors[i] as number));
  const isOne = typeof factors === 'number';
  if (!isOne && grid.axis !== undefined && grid.axis !== axis) return undefined;
  const count = isOne ? grid.scales.length : factors.length;
  const scales = Float32Array.from(
    { length: count },
    (_, i) => (grid.scales[grid.axis === undefined ? 0 : i] as number) * of(i),
  );
  return { ...grid, scales, axis: isOne ? grid.axis : axis };
}
