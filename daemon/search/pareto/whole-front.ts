import { dominates, type Point } from './dominance.js';

/** A point of the front, under the number that it was added by. */
export interface NumberedPoint {
  readonly number: number;
  readonly point: Point;
}

/**
 * The nondominated points seen so far, kept up to date one point at a time. Coordinates are minimised; equal points stay
 * side by side. In two dimensions the members lie on a staircase, and a point costs a binary search; in others it is held
 * against the members, the one that beat the last loser first.
 */
export class WholeFront {
  #members: NumberedPoint[];
  /** Their coordinates in two dimensions, for the search. */
  readonly #xs: number[];
  readonly #ys: number[];

  constructor(members: readonly NumberedPoint[] = []) {
    this.#members = [...members];
    const isPlane = members[0]?.point.length === 2;
    this.#xs = isPlane ? members.map(({ point }) => point[0] as number) : [];
    this.#ys = isPlane ? members.map(({ point }) => point[1] as number) : [];
  }

  /** By the first coordinate, then by number. */
  get members(): readonly NumberedPoint[] {
    return [...this.#members].sort(
      (a, b) => (a.point[0] as number) - (b.point[0] as number) || a.number - b.number,
    );
  }

  get size(): number {
    return this.#members.length;
  }

  /** Apart from this one from now on. */
  clone(): WholeFront {
    return new WholeFront(this.#members);
  }

  /** Keeps a copy of the point where it becomes a member: callers may use the same array again. */
  add(number: number, point: Point): void {
    if (point.length === 2) this.#addToStaircase(number, point);
    else this.#addByComparing(number, point);
  }

  /** First coordinates ascend, second ones descend; equal points are neighbours. */
  #addToStaircase(number: number, point: Point): void {
    const [members, xs, ys] = [this.#members, this.#xs, this.#ys];
    const [x, y] = point as readonly [number, number];
    let place = 0;
    for (let high = xs.length; place < high; ) {
      const middle = (place + high) >> 1;
      const otherX = xs[middle] as number;
      if (otherX < x || (otherX === x && (ys[middle] as number) <= y)) place = middle + 1;
      else high = middle;
    }
    // Of those before it in lexicographic order, the last is the lowest.
    if (place > 0) {
      const [lastX, lastY] = [xs[place - 1] as number, ys[place - 1] as number];
      if (lastY < y || (lastY === y && lastX < x)) return;
    }
    let end = place;
    while (end < ys.length && (ys[end] as number) >= y) end++;
    members.splice(place, end - place, { number, point: [...point] });
    xs.splice(place, end - place, x);
    ys.splice(place, end - place, y);
  }

  #addByComparing(number: number, point: Point): void {
    const members = this.#members;
    const beating = members.findIndex((other) => dominates(other.point, point));
    if (beating >= 0) {
      const winner = members[beating] as NumberedPoint;
      members[beating] = members[0] as NumberedPoint;
      members[0] = winner;
      return;
    }
    this.#members = members.filter((other) => !dominates(point, other.point));
    this.#members.push({ number, point: [...point] });
  }
}
