import { HildaError } from '../core/errors.js';
import { readInput } from './read-input.js';

/** Numbers of a file: a JSON array (nested as it likes) where the name ends in .json, otherwise float32, little endian. */
export async function readValues(path: string): Promise<number[]> {
  const bytes = await readInput(path);
  if (!path.endsWith('.json')) {
    if (bytes.length % 4 !== 0)
      throw new HildaError(
        'REQUEST_INVALID',
        `${path} holds ${bytes.length} bytes: no whole number of float32`,
      );
    return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new HildaError('REQUEST_INVALID', `${path} is not JSON`, { cause });
  }
  const values = [parsed].flat(Number.POSITIVE_INFINITY);
  if (!values.every((value) => typeof value === 'number' && Number.isFinite(value)))
    throw new HildaError('REQUEST_INVALID', `${path} holds something that is no number`);
  return values as number[];
}
