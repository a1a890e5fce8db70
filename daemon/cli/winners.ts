import type { FrontRowView } from '../api/schemas.js';
import { HildaError } from '../core/errors.js';

/** A bound on a front's metric: `latencyUs<=2000`, `accuracy>=0.88`. */
export interface Limit {
  readonly metric: string;
  readonly relation: '<=' | '>=';
  readonly bound: number;
}

/** Throws USAGE_INVALID. */
export function parseLimit(text: string): Limit {
  const match = /^([\w@.:-]+?)(<=|>=)([-+\d.eE]+)$/.exec(text.replaceAll(' ', ''));
  const bound = Number(match?.[3]);
  if (!match || !Number.isFinite(bound))
    throw new HildaError('USAGE_INVALID', `${text} is no limit`, {
      hint: 'For example: --limit "latencyUs<=2000"',
    });
  return { metric: match[1] as string, relation: match[2] as Limit['relation'], bound };
}

export const keeps = (
  { values }: Pick<FrontRowView, 'values'>,
  { metric, relation, bound }: Limit,
): boolean => {
  const value = values[metric];
  return value !== undefined && (relation === '<=' ? value <= bound : value >= bound);
};

/** The row with the best value among those within every limit; undefined where none is. */
export function winner<Row extends Pick<FrontRowView, 'values'>>(
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
