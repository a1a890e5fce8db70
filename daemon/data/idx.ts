import { gunzipSync } from 'node:zlib';
import type { StoredArray } from './contract.js';
import { decodeElements, elementBytes, type NumericType } from './elements.js';
import { readWholeFile } from './file-bytes.js';
import { invalid } from './invalid.js';

export const idxFile = /idx\d-ubyte(\.gz)?$|\.idx(\.gz)?$/i;

const maxUnpackedBytes = 2 ** 30;

/** Element types by the third byte of the magic number. */
const dtypes: ReadonlyMap<number, NumericType> = new Map<number, NumericType>([
  [0x08, 'uint8'],
  [0x09, 'int8'],
  [0x0b, 'int16'],
  [0x0c, 'int32'],
  [0x0d, 'float32'],
  [0x0e, 'float64'],
]);

/**
 * An array in the IDX format of LeCun's MNIST page: two zeros, element type, rank, big-endian sizes, big-endian elements;
 * gzipped or not, up to 1 GiB. Throws NOT_FOUND, and DATA_INVALID where it is no such file.
 */
export async function openIdx(path: string): Promise<StoredArray> {
  const bytes = await unpacked(path);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const dtype = bytes.length >= 4 && view.getUint16(0) === 0 ? dtypes.get(bytes[2] as number) : undefined;
  const rank = bytes[3] as number;
  if (!dtype || bytes.length < 4 + 4 * rank) throw invalid(`${path} is no IDX file`);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  const data = bytes.subarray(4 + 4 * rank);
  const size = elementBytes(dtype);
  const needed = dims.reduce((product, dim) => product * dim, size);
  if (needed !== data.length)
    throw invalid(
      `${path} holds ${data.length} bytes of data, but its shape ${dims.join(' x ')} of ${dtype} takes ${needed}`,
    );
  return {
    name: path,
    dtype,
    dims,
    elements: async (from, to) =>
      decodeElements(data.subarray(from * size, to * size), dtype, { bigEndian: true, what: path }),
    async close() {},
  };
}

async function unpacked(path: string): Promise<Uint8Array> {
  const bytes = await readWholeFile(path);
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return gunzipSync(bytes, { maxOutputLength: maxUnpackedBytes });
  } catch (cause) {
    throw invalid(`${path} does not unpack: ${(cause as Error).message}`, { cause });
  }
}
