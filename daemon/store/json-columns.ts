import { HildaError } from '../core/errors.js';

/**
 * JSON is kept as text on every engine and parsed here, since PostgreSQL's driver would hand it back parsed and
 * SQLite's would not. A number JSON cannot hold would come back as null: it is refused instead.
 */
export function toJsonText(value: unknown): string {
  return JSON.stringify(value, (key, item: unknown) => {
    if (typeof item === 'number' && !Number.isFinite(item))
      throw new HildaError('INTERNAL', `${key}: ${item} cannot be stored`);
    return item;
  });
}

export function fromJsonText<T>(text: string, what: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw new HildaError('STORE_CORRUPT', `${what} holds no valid JSON`, { cause });
  }
}
