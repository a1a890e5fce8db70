import { type Rng, randomInt, Xoshiro128 } from '../../../daemon/core/rng.js';
import type { Lifetime } from './lifetimes.js';

/** A stretch of arena that something needs for a while. */
export interface Request extends Lifetime {
  readonly bytes: number;
}

/**
 * Two requests whose lives meet in one step only, where the output `to` may overwrite what is consumed of the input
 * `from`: then `to` must start at least `distance` bytes below `from`, or not overlap it.
 */
export interface Overlap {
  readonly from: number;
  readonly to: number;
  readonly distance: number;
}

export interface Placement {
  readonly offsets: readonly number[];
  readonly bytes: number;
}

/** A neighbour's claim on a request: it may not start within (offset - below, offset + above) of the neighbour's offset. */
interface Conflict {
  readonly other: number;
  readonly below: number;
  readonly above: number;
}

/** Everything starts at multiples of 16: vector loads, and constants moved into the arena. */
export const arenaAlignment = 16;
const aligned = (bytes: number): number => Math.ceil(bytes / arenaAlignment) * arenaAlignment;

function conflictsOf(requests: readonly Request[], overlaps: readonly Overlap[]): Conflict[][] {
  const allowed = new Map(overlaps.map(({ from, to, distance }) => [from * requests.length + to, distance]));
  return requests.map((a, i) =>
    requests.flatMap((b, j): Conflict[] => {
      if (i === j || a.last < b.first || b.last < a.first) return [];
      const asOutput = allowed.get(j * requests.length + i);
      const asInput = allowed.get(i * requests.length + j);
      // a is the output, b the input: a <= b - distance is fine, however much they overlap.
      if (asOutput !== undefined) return [{ other: j, below: Math.min(asOutput, a.bytes), above: b.bytes }];
      if (asInput !== undefined) return [{ other: j, below: a.bytes, above: Math.min(asInput, b.bytes) }];
      return [{ other: j, below: a.bytes, above: b.bytes }];
    }),
  );
}

/** Places requests one after the other, each as low as those already placed let it. */
function placeInOrder(
  requests: readonly Request[],
  conflicts: readonly (readonly Conflict[])[],
  order: readonly number[],
  giveUpAt: number,
): Placement | undefined {
  const offsets = new Array<number>(requests.length).fill(-1);
  let bytes = 0;
  for (const i of order) {
    const blocked: [number, number][] = [];
    for (const { other, below, above } of conflicts[i] as readonly Conflict[]) {
      const at = offsets[other] as number;
      if (at >= 0 && above > -below) blocked.push([at - below, at + above]);
    }
    blocked.sort((a, b) => a[0] - b[0]);
    let offset = 0;
    for (const [from, to] of blocked) if (offset > from && offset < to) offset = aligned(to);
    // A jump may land in an interval that began earlier; walk again until none holds.
    for (let moved = true; moved; ) {
      moved = false;
      for (const [from, to] of blocked)
        if (offset > from && offset < to) {
          offset = aligned(to);
          moved = true;
        }
    }
    offsets[i] = offset;
    bytes = Math.max(bytes, offset + (requests[i] as Request).bytes);
    if (bytes >= giveUpAt) return undefined;
  }
  return { offsets, bytes };
}

/**
 * Bytes that must be live at once for any offsets, a true lower bound: at each task, what overlaps nothing, and
 * beside it the most of: all inputs that may be overwritten (they exclude each other), all outputs that may overwrite
 * them, and the least span of any such pair.
 */
export function liveBound(
  requests: readonly Request[],
  overlaps: readonly Overlap[],
): { bytes: number; at: number } {
  const positions = new Set(requests.map((request) => request.first));
  const bytesOf = (i: number): number => (requests[i] as Request).bytes;
  let best = { bytes: 0, at: 0 };
  for (const at of positions) {
    const live = new Set(requests.map((_, i) => i).filter((i) => alive(requests[i] as Request, at)));
    const pairs = overlaps.filter(({ from, to }) => live.has(from) && live.has(to));
    const [froms, tos] = [new Set(pairs.map(({ from }) => from)), new Set(pairs.map(({ to }) => to))];
    const sum = (of: Iterable<number>): number => [...of].reduce((total, i) => total + bytesOf(i), 0);
    const alone = sum([...live].filter((i) => !froms.has(i) && !tos.has(i)));
    const spans = pairs.map((pair) => bytesOf(pair.from) + bytesOf(pair.to) - savedBytes(requests, pair));
    const bytes = alone + Math.max(0, sum(froms), sum(tos), ...spans);
    if (bytes > best.bytes) best = { bytes, at };
  }
  return best;
}

const alive = ({ first, last }: Request, at: number): boolean => first <= at && at <= last;

/** How much less than the sum of both an input and its output need, laid over each other as far as they may. */
function savedBytes(requests: readonly Request[], { from, to, distance }: Overlap): number {
  const [a, b] = [(requests[from] as Request).bytes, (requests[to] as Request).bytes];
  const span = (shift: number): number => Math.max(shift + a, b) - Math.min(shift, 0);
  const best = Math.min(...[distance, 0, b - a].filter((shift) => shift >= distance).map(span));
  return Math.max(0, a + b - best);
}

export interface PlaceOptions {
  /** Rounds of local search after the greedy start. */
  readonly rounds?: number;
  /** Up to so many requests, all orders are tried (with pruning) before local search. */
  readonly exactUpTo?: number;
}

/**
 * Offsets for all requests in as few bytes as can be found: first fit by size, then local search on the order, stopped
 * at the live-byte bound; small problems exactly, by trying every order (a tightest packing, pushed down, is what placing
 * its parts by offset gives). Deterministic.
 */
export function place(
  requests: readonly Request[],
  overlaps: readonly Overlap[],
  { rounds = 400, exactUpTo = 8 }: PlaceOptions = {},
): Placement {
  const conflicts = conflictsOf(requests, overlaps);
  const bound = liveBound(requests, overlaps).bytes;
  const indices = requests.map((_, i) => i);
  const request = (i: number): Request => requests[i] as Request;
  const starts = [
    indices.toSorted((a, b) => request(b).bytes - request(a).bytes || request(a).first - request(b).first),
    // Last first: a chain of outputs, each a little below its input, then starts high and comes down to 0.
    indices.toSorted((a, b) => request(b).first - request(a).first || request(b).bytes - request(a).bytes),
    indices.toSorted((a, b) => request(a).first - request(b).first || request(b).bytes - request(a).bytes),
    indices.toSorted(
      (a, b) =>
        request(b).bytes * (request(b).last - request(b).first + 1) -
        request(a).bytes * (request(a).last - request(a).first + 1),
    ),
  ];
  let best: { placement: Placement; order: number[] } | undefined;
  for (const order of starts) {
    const placement = placeInOrder(requests, conflicts, order, Number.POSITIVE_INFINITY) as Placement;
    if (!best || placement.bytes < best.placement.bytes) best = { placement, order };
  }
  if (!best) return { offsets: [], bytes: 0 };
  if (best.placement.bytes <= bound) return best.placement;
  if (requests.length <= exactUpTo) return everyOrder(requests, conflicts, best.placement, bound);
  return localSearch(requests, conflicts, best, bound, rounds);
}

function everyOrder(
  requests: readonly Request[],
  conflicts: readonly (readonly Conflict[])[],
  start: Placement,
  bound: number,
): Placement {
  let best = start;
  const permute = (order: number[], rest: readonly number[]): void => {
    if (best.bytes <= bound) return;
    if (rest.length === 0) {
      best = placeInOrder(requests, conflicts, order, best.bytes) ?? best;
      return;
    }
    // The part placed so far alone may already be no better.
    if (order.length > 1 && !placeInOrder(requests, conflicts, order, best.bytes)) return;
    for (const next of rest)
      permute(
        [...order, next],
        rest.filter((i) => i !== next),
      );
  };
  permute(
    [],
    requests.map((_, i) => i),
  );
  return best;
}

/** Moves a request that ends at the peak, or a random one, to another place in the order; keeps what is no worse. */
function localSearch(
  requests: readonly Request[],
  conflicts: readonly (readonly Conflict[])[],
  start: { readonly placement: Placement; readonly order: number[] },
  bound: number,
  rounds: number,
): Placement {
  const rng: Rng = Xoshiro128.fromSeed(requests.length);
  let current = start;
  for (let round = 0; round < rounds && current.placement.bytes > bound; round++) {
    const { offsets, bytes } = current.placement;
    const top = current.order.filter(
      (i) => (offsets[i] as number) + (requests[i] as Request).bytes === bytes,
    );
    const moved =
      rng.next() < 0.7
        ? (top[randomInt(rng, top.length)] as number)
        : (current.order[randomInt(rng, current.order.length)] as number);
    const order = current.order.filter((i) => i !== moved);
    order.splice(randomInt(rng, order.length + 1), 0, moved);
    const placement = placeInOrder(requests, conflicts, order, bytes + 1);
    if (placement) current = { placement, order };
  }
  return current.placement;
}
