import { HildaError } from '../core/errors.js';
import { type TrialColumns, trialStates } from './contract.js';

/**
 * Columns of trials as one blob, little endian: byte 0 the layout's version (1), bytes 1 to 4 the number of trials n
 * (uint32), bytes 5 to 8 the bytes of the names (uint32), the metrics' names as JSON in UTF-8; then n bytes of states, by
 * their place in `trialStates`, n bytes that are 1 for told trials, and n float64 a metric, NaN where it is unknown.
 */
const version = 1;
const isLittleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
const headerBytes = 9;

export type PackedColumns = Omit<TrialColumns, 'from'>;

export function packColumns({ length, states, told, values }: PackedColumns): Uint8Array {
  const names = new TextEncoder().encode(JSON.stringify([...values.keys()]));
  const bytes = new Uint8Array(headerBytes + names.length + 2 * length + 8 * length * values.size);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, version);
  view.setUint32(1, length, true);
  view.setUint32(5, names.length, true);
  bytes.set(names, headerBytes);
  let at = headerBytes + names.length;
  bytes.set(states, at);
  bytes.set(told, at + length);
  at += 2 * length;
  for (const column of values.values()) {
    for (let i = 0; i < length; i++) view.setFloat64(at + 8 * i, column[i] as number, true);
    at += 8 * length;
  }
  return bytes;
}

/** Throws STORE_CORRUPT when the bytes are not what `packColumns` wrote. */
export function unpackColumns(bytes: Uint8Array, what: string): PackedColumns {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength < headerBytes || view.getUint8(0) !== version) throw damaged(what);
  const length = view.getUint32(1, true);
  const namesEnd = headerBytes + view.getUint32(5, true);
  const names = namesOf(bytes.subarray(headerBytes, namesEnd), what);
  if (bytes.byteLength !== namesEnd + 2 * length + 8 * length * names.length) throw damaged(what);
  // One copy, placed so that the numbers are aligned.
  const valuesAt = namesEnd + 2 * length;
  const pad = (8 - (valuesAt % 8)) % 8;
  const copy = new Uint8Array(pad + bytes.byteLength);
  copy.set(bytes, pad);
  const states = copy.subarray(pad + namesEnd, pad + namesEnd + length);
  const told = copy.subarray(pad + namesEnd + length, pad + valuesAt);
  if (states.some((state) => state >= trialStates.length)) throw damaged(what);
  const values = names.map((name, k): [string, Float64Array] => {
    const at = valuesAt + 8 * length * k;
    if (isLittleEndian) return [name, new Float64Array(copy.buffer, pad + at, length)];
    const column = new Float64Array(length);
    for (let i = 0; i < length; i++) column[i] = view.getFloat64(at + 8 * i, true);
    return [name, column];
  });
  return { length, states, told, values: new Map(values) };
}

function namesOf(bytes: Uint8Array, what: string): string[] {
  try {
    const names: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return names;
  } catch {}
  throw damaged(what);
}

const damaged = (what: string): HildaError =>
  new HildaError('STORE_CORRUPT', `${what} holds damaged columns`);
