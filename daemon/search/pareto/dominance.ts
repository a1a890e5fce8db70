/** A point in objective space; every coordinate is to be minimised. */
export type Point = readonly number[];

/** True when `a` is nowhere worse and somewhere better than `b`. */
export function dominates(a: Point, b: Point): boolean {
  let better = false;
  for (let i = 0; i < a.length; i++) {
    const x = a[i] as number;
    const y = b[i] as number;
    if (x > y) return false;
    if (x < y) better = true;
  }
  return better;
}

/** What constrained selection compares: costs to minimise, and by how much hard limits are broken (0: not at all). */
export interface Rating {
  readonly costs: Point;
  /** Sum of relative excesses; Infinity when nothing is known, as for a failed trial. */
  readonly violation: number;
}

/**
 * Index of the front each item belongs to, 0 the best, under constrained domination (Deb et al. 2002, definition 1):
 * feasible first, then the smaller violation, then Pareto. Found by efficient nondominated sort with binary search (Zhang
 * et al. 2015): in lexicographic order nobody is beaten by who comes later, and who is not beaten by one front is beaten
 * by none behind it. In up to two dimensions the member that came last is the one that beats all that are beaten: a front then
 * costs one comparison, and the whole n log n.
 */
export function nondominatedRanks(items: readonly Rating[]): number[] {
  const ranks = items.map(() => 0);
  const fronts: Point[][] = [];
  const feasible = items.flatMap(({ violation }, i) => (violation === 0 ? [i] : []));
  const costsOf = (i: number): Point => (items[i] as Rating).costs;
  for (const i of feasible.sort((a, b) => lexicographic(costsOf(a), costsOf(b)))) {
    const costs = costsOf(i);
    let low = 0;
    let high = fronts.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBeaten(costs, fronts[middle] as Point[])) low = middle + 1;
      else high = middle;
    }
    ranks[i] = low;
    const front = fronts[low];
    if (front) front.push(costs);
    else fronts.push([costs]);
  }
  const violations = [...new Set(items.map(({ violation }) => violation).filter((v) => v !== 0))];
  const behind = new Map(violations.sort((a, b) => a - b).map((v, k) => [v, fronts.length + k]));
  items.forEach(({ violation }, i) => {
    ranks[i] = behind.get(violation) ?? (ranks[i] as number);
  });
  return ranks;
}

/** By a front whose members all come before in lexicographic order, and are sorted so. */
function isBeaten(costs: Point, front: readonly Point[]): boolean {
  if (costs.length <= 2) return dominates(front.at(-1) as Point, costs);
  // The latest are the likeliest to beat.
  return front.findLast((other) => dominates(other, costs)) !== undefined;
}

function lexicographic(a: Point, b: Point): number {
  for (let d = 0; d < a.length; d++) {
    const [x, y] = [a[d] as number, b[d] as number];
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}

/** Crowding distance within each rank; the ends of a front are infinitely far (Deb et al. 2002, section III-B). */
function crowdingDistances(items: readonly Rating[], ranks: readonly number[]): number[] {
  const distances = items.map(() => 0);
  const fronts = new Map<number, number[]>();
  ranks.forEach((rank, i) => {
    const front = fronts.get(rank);
    if (front) front.push(i);
    else fronts.set(rank, [i]);
  });
  const dimensions = items.reduce((most, { costs }) => Math.max(most, costs.length), 0);
  for (const front of fronts.values()) {
    for (let d = 0; d < dimensions; d++) {
      const cost = (i: number): number => items[i]?.costs[d] ?? 0;
      const order = [...front].sort((a, b) => cost(a) - cost(b));
      const first = order[0] as number;
      const last = order.at(-1) as number;
      const span = cost(last) - cost(first);
      distances[first] = Number.POSITIVE_INFINITY;
      distances[last] = Number.POSITIVE_INFINITY;
      if (!(span > 0)) continue;
      for (let k = 1; k < order.length - 1; k++) {
        const gap = cost(order[k + 1] as number) - cost(order[k - 1] as number);
        distances[order[k] as number] = (distances[order[k] as number] as number) + gap / span;
      }
    }
  }
  return distances;
}

/** Indices from best to worst: lower rank, then less crowded, then the earlier one. */
export function selectionOrder(items: readonly Rating[]): number[] {
  const ranks = nondominatedRanks(items);
  const crowding = crowdingDistances(items, ranks);
  return items
    .map((_, i) => i)
    .sort((a, b) => {
      if (ranks[a] !== ranks[b]) return (ranks[a] as number) - (ranks[b] as number);
      if (crowding[a] === crowding[b]) return a - b;
      return (crowding[a] as number) > (crowding[b] as number) ? -1 : 1;
    });
}
