export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/**
 * One text for one value: keys sorted by code unit, no white space, numbers as ECMAScript prints them
 * (the rules of RFC 8785 for the values we use). Throws on NaN and infinities, which JSON cannot hold.
 */
export function canonicalJson(value: Json): string {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError(`${value} has no JSON form`);
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  if (Array.isArray(value))
    return value.every(Number.isSafeInteger)
      ? `[${value.join(',')}]` // Index vectors, which searches name by the thousand.
      : `[${value.map(canonicalJson).join(',')}]`;
  const entries = Object.entries(value as { [key: string]: Json }).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`;
}
