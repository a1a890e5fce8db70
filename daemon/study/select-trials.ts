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
      if (!fits[i]) continue;
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
      if (!fits[i]) continue;
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

/** 1 for each trial of the piece that fits. One loop a condition: each reads one column, which the processor does fastest. */
function fitting(
  { from, length, states, values }: TrialColumns,
  { states: wanted, limits = [], numbers, fromNumber = 0, metrics = [] }: TrialSelection,
): Uint8Array {
  const fits = new Uint8Array(length).fill(1, Math.max(0, fromNumber - from));
  if (wanted) {
    const isWanted = trialStates.map((state) => (wanted.includes(state) ? 1 : 0));
    for (let i = 0; i < length; i++) fits[i]! &= isWanted[states[i]!]!;
  }
  if (numbers) for (let i = 0; i < length; i++) fits[i]! &= numbers.has(from + i) ? 1 : 0;
  for (const metric of metrics) {
    const column = values.get(metric);
    if (!column) return fits.fill(0);
    for (let i = 0; i < length; i++) fits[i]! &= Number.isNaN(column[i]!) ? 0 : 1;
  }
  for (const { metric, relation, bound } of limits) {
    const column = values.get(metric);
    if (!column) return fits.fill(0);
    // Comparisons with NaN are false: a trial without the metric keeps no limit.
    if (relation === '<=') for (let i = 0; i < length; i++) fits[i]! &= column[i]! <= bound ? 1 : 0;
    else for (let i = 0; i < length; i++) fits[i]! &= column[i]! >= bound ? 1 : 0;
  }
  return fits;
}
