import { dominates, type Point } from './dominance.js';

export interface FrontMember<T> {
  readonly point: Point;
  readonly item: T;
}

/** What adding one point did to the front. */
export interface FrontDelta<T> {
  readonly added: boolean;
  readonly removed: readonly FrontMember<T>[];
}

/**
 * The nondominated points seen so far, kept up to date one point at a time. Coordinates are minimised. Of several
 * equal points the first stays. Points with a NaN or infinite coordinate never enter.
 */
export class ParetoFront<T = undefined> {
  #members: FrontMember<T>[] = [];

  get members(): readonly FrontMember<T>[] {
    return this.#members;
  }

  add(point: Point, item: T): FrontDelta<T> {
    const beaten = (other: FrontMember<T>): boolean =>
      dominates(other.point, point) || other.point.every((value, i) => value === point[i]);
    if (!point.every(Number.isFinite) || this.#members.some(beaten)) return { added: false, removed: [] };
    const removed = this.#members.filter((member) => dominates(point, member.point));
    this.#members = this.#members.filter((member) => !dominates(point, member.point));
    this.#members.push({ point: [...point], item });
    return { added: true, removed };
  }
}
