/** A bound on a front's metric: `latencyUs<=2000`, `accuracy>=0.88`. */
export interface Limit {
  readonly metric: string;
  readonly relation: '<=' | '>=';
  readonly bound: number;
}

interface Valued {
  readonly values: Readonly<Record<string, number>>;
}

export const keeps = ({ values }: Valued, { metric, relation, bound }: Limit): boolean => {
  const value = values[metric];
  return value !== undefined && (relation === '<=' ? value <= bound : value >= bound);
};

/** The row with the best value among those within every limit; undefined where none is. */
export function winner<Row extends Valued>(
  rows: readonly Row[],
  limits: readonly Limit[],
  { metric, goal }: { readonly metric: string; readonly goal: 'min' | 'max' },
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
