import { canonicalJson, type Json } from '../core/json.js';

/** The first place where a replay is not what was recorded. */
export interface Difference {
  /** For example `trial 12` or `case 3`. */
  readonly where: string;
  /** For example `values.latencyUs`; empty for the whole. */
  readonly field: string;
  readonly recorded: Json;
  readonly replayed: Json;
}

/** The first field in which two values differ; undefined where they are the same to the last bit. */
export function differenceOf(where: string, recorded: unknown, replayed: unknown): Difference | undefined {
  return firstIn(where, '', plain(recorded), plain(replayed));
}

/** As JSON keeps it. */
const plain = (value: unknown): Json =>
  value === undefined ? null : (JSON.parse(JSON.stringify(value)) as Json);

function firstIn(where: string, field: string, recorded: Json, replayed: Json): Difference | undefined {
  if (canonicalJson(recorded) === canonicalJson(replayed)) return undefined;
  const isObject = (value: Json): value is Readonly<Record<string, Json>> =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  if (isObject(recorded) && isObject(replayed))
    for (const key of [...new Set([...Object.keys(recorded), ...Object.keys(replayed)])].sort()) {
      const [a, b] = [own(recorded, key), own(replayed, key)];
      const found = firstIn(where, field === '' ? key : `${field}.${key}`, a, b);
      if (found) return found;
    }
  return { where, field, recorded, replayed };
}

const own = (value: Readonly<Record<string, Json>>, key: string): Json =>
  Object.hasOwn(value, key) ? (value[key] as Json) : null;
