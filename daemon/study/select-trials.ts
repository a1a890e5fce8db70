import { type TrialColumns, type TrialRecord, trialStates } from '../store/contract.js';
import type { Limit } from './winner.js';

/** Left out, a field excludes nothing. */
export interface TrialSelection {
  readonly states?: readonly TrialRecord['state'][];
  /** Trials that lack the metric of a limit keep none. */
  readonly limits?: readonly Limit[];
  /** These alone. */
  readonly numbers?: ReadonlySet<number>;
  readonly fromNumber?: number;
  /** All of these are known. */
  readonly metrics?: readonly string[];
}

export interface TrialOrder {
  /** A metric, whose absence comes last; or by number. */
  readonly by: string | 'number';
  readonly descending: boolean;
}

export interface SelectedTrials {
  /** In the order asked for. */
  readonly numbers: readonly number[];
  /** How many fit, on all pages. */
  readonly total: number;
  readonly hasMore: boolean;
}

/** A trial's place in the order: its key, ascending, then its number. */
interface Place {
  readonly key: number;
  readonly number: number;
}

const compare = (a: Place, b: Place): number =>
  a.key === b.key ? a.number - b.number : a.key < b.key ? -1 : 1;

const isBefore = (place: Place, key: number, number: number): boolean =>
  place.key < key || (place.key === key && place.number < number);

/**
 * The first `limit` trials that fit, after the trial `after` in this order. Reads columns alone: what it costs grows with the
 * number of trials, a few nanoseconds each.
 */
export function selectTrials(
  pieces: readonly TrialColumns[],
  selection: TrialSelection,
  {
    order,
    after,
    limit,
  }: { readonly order: TrialOrder; readonly after?: number | undefined; readonly limit: number },
): SelectedTrials {
  const start = after === undefined ? undefined : placeOf(pieces, after, order);
  let total = 0;
  let following = 0;
  let best: Place[] = [];
  // The worst that still counts, once there are more than enough.
  let bound: Place | undefined;
  const isPlain = order.by === 'number' && !order.descending && fitsAll(selection);
  for (const piece of pieces) {
    if (isPlain && bound) {
      // All of its numbers are behind the page.
      total += piece.length;
      following += piece.length;
      continue;
    }
    const fits = fitting(piece, selection);
    const key = keysOf(piece, order);
    for (let i = 0; i < piece.length; i++) {
      if (!fits(i)) continue;
      total++;
      const [own, number] = [key(i), piece.from + i];
      if (start && !isBefore(start, own, number)) continue;
      following++;
      if (bound && (own > bound.key || (own === bound.key && number >= bound.number))) continue;
      best.push({ key: own, number });
      if (best.length < 2 * limit + 64) continue;
      best = best.sort(compare).slice(0, limit);
      bound = best[limit - 1];
    }
  }
  const numbers = best
    .sort(compare)
    .slice(0, limit)
    .map(({ number }) => number);
  return { numbers, total, hasMore: following > numbers.length };
}

/** The values of these metrics, of the trials that fit and know all of them, by number. */
export function selectColumns(
  pieces: readonly TrialColumns[],
  metrics: readonly string[],
  selection: TrialSelection,
  limit: number,
): SelectedTrials & { readonly values: readonly (readonly number[])[] } {
  const numbers: number[] = [];
  const values = metrics.map((): number[] => []);
  const { fromNumber = 0, ...rest } = selection;
  let total = 0;
  let following = 0;
  for (const piece of pieces) {
    const fits = fitting(piece, { ...rest, metrics });
    const columns = metrics.map((metric) => piece.values.get(metric));
    for (let i = 0; i < piece.length; i++) {
      if (!fits(i)) continue;
      total++;
      if (piece.from + i < fromNumber) continue;
      following++;
      if (numbers.length >= limit) continue;
      numbers.push(piece.from + i);
      for (const [k, column] of columns.entries()) values[k]?.push(column?.[i] as number);
    }
  }
  return { numbers, values, total, hasMore: following > numbers.length };
}

const keysOf = (piece: TrialColumns, { by, descending }: TrialOrder): ((i: number) => number) => {
  const sign = descending ? -1 : 1;
  if (by === 'number') return (i) => sign * (piece.from + i);
  const column = piece.values.get(by);
  return (i) => {
    const value = column?.[i] ?? Number.NaN;
    return Number.isNaN(value) ? Number.POSITIVE_INFINITY : sign * value;
  };
};

/** Where nothing is excluded. */
const fitsAll = ({ states, limits, numbers, fromNumber = 0, metrics }: TrialSelection): boolean =>
  fromNumber === 0 && !(states ?? limits ?? numbers ?? metrics);

function placeOf(pieces: readonly TrialColumns[], number: number, order: TrialOrder): Place | undefined {
  const piece = pieces.find(({ from, length }) => number >= from && number < from + length);
  return piece && { key: keysOf(piece, order)(number - piece.from), number };
}

function fitting(
  piece: TrialColumns,
  { states, limits = [], numbers, fromNumber = 0, metrics = [] }: TrialSelection,
): (i: number) => boolean {
  const wanted = states && new Set(states.map((state) => trialStates.indexOf(state)));
  const bounds = limits.map(({ metric, ...limit }) => ({ column: piece.values.get(metric), ...limit }));
  const needed = metrics.map((metric) => piece.values.get(metric));
  return (i) =>
    piece.from + i >= fromNumber &&
    (wanted === undefined || wanted.has(piece.states[i] as number)) &&
    (numbers === undefined || numbers.has(piece.from + i)) &&
    needed.every((column) => column !== undefined && !Number.isNaN(column[i])) &&
    bounds.every(({ column, relation, bound }) => {
      const value = column?.[i] ?? Number.NaN;
      return relation === '<=' ? value <= bound : value >= bound;
    });
}
