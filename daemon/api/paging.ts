import { z } from 'zod';

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
