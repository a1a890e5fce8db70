import { differenceInterval, type Interval, isApart } from '../core/intervals.js';

/** A bound on a front's metric: `latencyUs<=2000`, `accuracy>=0.88`. */
export interface Limit {
  readonly metric: string;
  readonly relation: '<=' | '>=';
  readonly bound: number;
}

interface Valued {
  readonly values: Readonly<Record<string, number>>;
}

export interface Goal {
  readonly metric: string;
  readonly goal: 'min' | 'max';
}

export const keeps = ({ values }: Valued, { metric, relation, bound }: Limit): boolean => {
  const value = values[metric];
  return value !== undefined && (relation === '<=' ? value <= bound : value >= bound);
};

/** The row with the best value among those within every limit; undefined where none is. */
export function winner<Row extends Valued>(
  rows: readonly Row[],
  limits: readonly Limit[],
  { metric, goal }: Goal,
): Row | undefined {
  const sign = goal === 'min' ? 1 : -1;
  const cost = (row: Row): number => sign * (row.values[metric] ?? sign * Number.POSITIVE_INFINITY);
  return rows
    .filter((row) => row.values[metric] !== undefined && limits.every((limit) => keeps(row, limit)))
    .reduce<Row | undefined>(
      (best, row) => (best === undefined || cost(row) < cost(best) ? row : best),
      undefined,
    );
}

/** How sure a winner is of its place before the runner-up: `unknown` where one of the two has no interval. */
export interface Lead {
  readonly standing: 'apart' | 'not apart' | 'unknown';
  /** The winner's value less the runner-up's, with its 95 % interval; null where that is not known. */
  readonly difference: { readonly value: number; readonly ci: Interval } | null;
  /** `exact`: counts, which have no error. */
  readonly basis: 'paired' | 'independent' | 'exact' | null;
}

interface Known {
  readonly value: number;
  /** Null: not known. Undefined: the value is exact. */
  readonly ci: Interval | null | undefined;
}

/** The winner's lead by two values alone, where nobody compared the two image by image. */
export function leadOf(best: Known, other: Known): Lead {
  const value = best.value - other.value;
  if (best.ci === undefined && other.ci === undefined)
    return {
      standing: value === 0 ? 'not apart' : 'apart',
      difference: { value, ci: [value, value] },
      basis: 'exact',
    };
  if (!best.ci || !other.ci) return { standing: 'unknown', difference: null, basis: null };
  const ci = differenceInterval({ value: best.value, ci: best.ci }, { value: other.value, ci: other.ci });
  return { standing: isApart(ci) ? 'apart' : 'not apart', difference: { value, ci }, basis: 'independent' };
}
