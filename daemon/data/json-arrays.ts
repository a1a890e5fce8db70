import type { StoredArray } from './contract.js';
import { readWholeFile } from './file-bytes.js';
import { invalid } from './invalid.js';

const maxJsonBytes = 64 * 2 ** 20;
const maxDepth = 16;

/** What a JSON file holds: one array, or one for each name. */
export type JsonArrays =
  | { readonly kind: 'one'; readonly array: StoredArray }
  | { readonly kind: 'named'; readonly arrays: ReadonlyMap<string, StoredArray> };

/**
 * Reads a JSON file of up to 64 MiB: a number, an array nested as deep as its rank, or an object of those by name.
 * Numbers are float64, true and false are bool. Throws NOT_FOUND, and DATA_INVALID for ragged arrays and other values.
 */
export async function readJsonArrays(path: string): Promise<JsonArrays> {
  const text = Buffer.from(await readWholeFile(path, maxJsonBytes)).toString('utf8');
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw invalid(`${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    return { kind: 'one', array: arrayOf(parsed, path) };
  const arrays = new Map<string, StoredArray>();
  for (const [name, value] of Object.entries(parsed))
    arrays.set(name, arrayOf(value, `"${name}" of ${path}`));
  if (arrays.size === 0) throw invalid(`${path} is an empty object`);
  return { kind: 'named', arrays };
}

function arrayOf(value: unknown, name: string): StoredArray {
  const dims: number[] = [];
  for (let at = value; Array.isArray(at); at = at[0]) dims.push(at.length);
  if (dims.length > maxDepth) throw invalid(`${name} is nested more than ${maxDepth} deep`);
  const flat: number[] = [];
  let kind: string | undefined;
  const visit = (part: unknown, depth: number, path: string): void => {
    if (depth < dims.length) {
      if (!Array.isArray(part) || part.length !== dims[depth])
        throw invalid(`${name}${path} is not an array of ${dims[depth]} like the first one beside it`);
      part.forEach((inner, i) => {
        visit(inner, depth + 1, `${path}[${i}]`);
      });
      return;
    }
    const type = typeof part;
    const wrong = type === 'number' ? !Number.isFinite(part) : type !== 'boolean';
    if (wrong)
      throw invalid(`${name}${path} is ${Array.isArray(part) ? 'an array' : String(part)}, not a number`);
    if (kind !== undefined && kind !== type) throw invalid(`${name}${path} mixes numbers and booleans`);
    kind = type;
    flat.push(Number(part));
  };
  visit(value, 0, '');
  const elements = kind === 'boolean' ? Uint8Array.from(flat) : Float64Array.from(flat);
  return {
    name,
    dtype: kind === 'boolean' ? 'bool' : 'float64',
    dims,
    elements: async (from, to) => elements.slice(from, to),
    async close() {},
  };
}
