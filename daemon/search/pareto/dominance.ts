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

/** Constrained domination (Deb et al. 2002, definition 1): feasible first, then the smaller violation, then Pareto. */
export function constrainedDominates(a: Rating, b: Rating): boolean {
  if (a.violation !== b.violation) return a.violation < b.violation;
  return a.violation === 0 && dominates(a.costs, b.costs);
}

/** Index of the front each item belongs to, 0 the best: fast nondominated sort (Deb et al. 2002, section III-A). */
export function nondominatedRanks(items: readonly Rating[]): number[] {
  const beats: number[][] = items.map(() => []);
  const beatenBy = items.map(() => 0);
  for (let i = 0; i < items.length; i++) {
    for (let j = i + 1; j < items.length; j++) {
      if (constrainedDominates(items[i] as Rating, items[j] as Rating)) {
        beats[i]?.push(j);
        beatenBy[j] = (beatenBy[j] as number) + 1;
      } else if (constrainedDominates(items[j] as Rating, items[i] as Rating)) {
        beats[j]?.push(i);
        beatenBy[i] = (beatenBy[i] as number) + 1;
      }
    }
  }
  const ranks = items.map(() => 0);
  let front = beatenBy.flatMap((count, i) => (count === 0 ? [i] : []));
  for (let rank = 0; front.length > 0; rank++) {
    const next: number[] = [];
    for (const i of front) {
      ranks[i] = rank;
      for (const j of beats[i] as number[]) {
        beatenBy[j] = (beatenBy[j] as number) - 1;
        if (beatenBy[j] === 0) next.push(j);
      }
    }
    front = next;
  }
  return ranks;
}

/** Crowding distance within each rank; the ends of a front are infinitely far (Deb et al. 2002, section III-B). */
export function crowdingDistances(items: readonly Rating[], ranks: readonly number[]): number[] {
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
