import { dominates, type Point } from './dominance.js';

/**
 * The volume that `points` dominate, bounded by `reference`; every coordinate is minimised. Exact: a sweep in two and
 * three dimensions, the WFG recursion (While, Bradstreet and Barone 2012) above.
 *
 * Reference point: a point counts only where it is strictly better than the reference in every coordinate. Values are
 * comparable only under one reference, so it must stay fixed over a study: the worst corner of the feasible region
 * where that is known (tables), else the worst of the first batch.
 */
export function hypervolume(points: readonly Point[], reference: Point): number {
  const inside = points.filter((point) => point.every((value, i) => value < (reference[i] as number)));
  if (inside.length === 0 || reference.length === 0) return 0;
  if (reference.length === 1)
    return (reference[0] as number) - Math.min(...inside.map((p) => p[0] as number));
  if (reference.length === 2) return area(inside, reference);
  if (reference.length === 3) return volume(inside, reference);
  return wfg(nondominated(inside), reference);
}

/**
 * What one more point would add to the hypervolume of `points`. In two dimensions the front is sorted once, and a point
 * costs a binary search and the steps of the front that it cuts off.
 */
export function hypervolumeGain(points: readonly Point[], reference: Point): (point: Point) => number {
  if (reference.length === 2) return gainOver(staircase(points, reference), reference);
  const base = hypervolume(points, reference);
  return (point) => {
    const isBeaten = points.some((other) => other.every((value, d) => value <= (point[d] as number)));
    return isBeaten ? 0 : hypervolume([...points, point], reference) - base;
  };
}

/** The points inside the reference that none dominates: x ascending, y descending. */
function staircase(points: readonly Point[], [rx, ry]: Point): Point[] {
  const inside = points.filter(([x, y]) => (x as number) < (rx as number) && (y as number) < (ry as number));
  let lowest = ry as number;
  return byFirst(inside).filter(([, y]) => {
    const isLower = (y as number) < lowest;
    if (isLower) lowest = y as number;
    return isLower;
  });
}

function gainOver(stairs: readonly Point[], [rx, ry]: Point): (point: Point) => number {
  const xs = stairs.map(([x]) => x as number);
  const ys = stairs.map(([, y]) => y as number);
  return ([x, y]) => {
    if (!((x as number) < (rx as number) && (y as number) < (ry as number))) return 0;
    let next = 0;
    for (let high = xs.length; next < high; ) {
      const middle = (next + high) >> 1;
      if ((xs[middle] as number) <= (x as number)) next = middle + 1;
      else high = middle;
    }
    let top = next > 0 ? (ys[next - 1] as number) : (ry as number);
    let gain = 0;
    for (let left = x as number; top > (y as number); next++) {
      const right = xs[next] ?? (rx as number);
      gain += (right - left) * (top - (y as number));
      left = right;
      top = ys[next] ?? Number.NEGATIVE_INFINITY;
    }
    return gain;
  };
}

const byFirst = (points: readonly Point[]): Point[] =>
  [...points].sort((a, b) => (a[0] as number) - (b[0] as number) || (a[1] as number) - (b[1] as number));

function area(points: readonly Point[], reference: Point): number {
  const [rx, ry] = reference as readonly [number, number];
  let total = 0;
  let lowest = ry;
  for (const [x, y] of byFirst(points) as unknown as readonly (readonly [number, number])[]) {
    if (y >= lowest) continue;
    total += (rx - x) * (lowest - y);
    lowest = y;
  }
  return total;
}

/** Sweeps the third coordinate: between two neighbouring values the dominated cross-section is constant. */
function volume(points: readonly Point[], reference: Point): number {
  const sorted = [...points].sort((a, b) => (a[2] as number) - (b[2] as number));
  const base = reference.slice(0, 2);
  let section: Point[] = [];
  let total = 0;
  for (let i = 0; i < sorted.length; i++) {
    const point = sorted[i] as Point;
    const flat = point.slice(0, 2);
    if (!section.some((other) => dominates(other, flat))) {
      section = [...section.filter((other) => !dominates(flat, other)), flat];
    }
    const upper = (sorted[i + 1] ?? reference)[2] as number;
    const height = upper - (point[2] as number);
    if (height > 0) total += height * area(section, base);
  }
  return total;
}

/** The sum of what each point adds to those after it. */
function wfg(points: readonly Point[], reference: Point): number {
  return points.reduce((total, point, i) => {
    const box = point.reduce((product, value, d) => product * ((reference[d] as number) - value), 1);
    const limited = points
      .slice(i + 1)
      .map((other) => other.map((value, d) => Math.max(value, point[d] as number)));
    return total + box - (limited.length > 0 ? wfg(nondominated(limited), reference) : 0);
  }, 0);
}

function nondominated(points: readonly Point[]): Point[] {
  return points.filter(
    (point, i) =>
      !points.some(
        (other, j) => dominates(other, point) || (j < i && other.every((value, d) => value === point[d])),
      ),
  );
}
