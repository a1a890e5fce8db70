import { z } from 'zod';
import { type ErrorCode, HildaError } from '../core/errors.js';

/** How long lists are answered: a page, how many there are in all, and where the next page is. */

export const nextSchema = z
  .string()
  .nullable()
  .describe('The address of the next page, with the same filters; null on the last one.');

export const pageSchema = <Fields extends z.ZodRawShape>(fields: Fields) =>
  z.object({
    ...fields,
    total: z.int().describe('How many fit the filters, on all pages.'),
    next: nextSchema,
  });

/** The `limit` of a query. */
export const pageLimit = (usual: number, most = 1000) =>
  z.coerce.number().int().min(1).max(most).default(usual).describe('At most so many on a page.');

/** The query of a list that is whole in memory. */
export const listQuery = {
  after: z.string().optional().describe('Only what stands behind this one, by its id.'),
  limit: pageLimit(1000, 10_000),
};

interface Listed<Row> {
  readonly path: string;
  readonly idOf: (row: Row) => string;
  readonly fits?: (row: Row) => boolean;
  /** The code where `after` names none of the list; NOT_FOUND by default. */
  readonly unknown?: ErrorCode;
}

/** A page of a list that is whole in memory, in its order. Throws `unknown` where `after` names none of it. */
export function pageOf<Row, Query extends { readonly after?: string | undefined; readonly limit: number }>(
  known: readonly Row[],
  query: Query,
  { path, idOf, fits = () => true, unknown = 'NOT_FOUND' }: Listed<Row>,
): { readonly rows: Row[]; readonly total: number; readonly next: string | null } {
  const { after, limit } = query;
  const first = after === undefined ? 0 : known.findIndex((row) => idOf(row) === after) + 1;
  if (after !== undefined && first === 0)
    throw new HildaError(unknown, `after: the list holds no ${after}`, {
      hint: 'It may be gone: begin with the first page again, without `after`.',
    });
  const rest = known.slice(first).filter(fits);
  const rows = rest.slice(0, limit);
  const last = rows.at(-1);
  const more = rest.length > limit && last !== undefined ? { ...query, after: idOf(last) } : null;
  return { rows, total: known.filter(fits).length, next: nextPage(path, more) };
}

/** `query`: that of the next page, or null where there is none. Fields that are undefined are left out. */
export function nextPage(
  path: string,
  query: Readonly<Record<string, string | number | undefined>> | null,
): string | null {
  if (!query) return null;
  const given = Object.entries(query).flatMap(([key, value]): [string, string][] =>
    value === undefined ? [] : [[key, String(value)]],
  );
  return `/v1${path}?${new URLSearchParams(given)}`;
}
