import { crc32 } from 'node:zlib';
import type { ByteSource } from './contract.js';
import { partOfBytes } from './file-bytes.js';
import { inflatedBytes } from './inflated-bytes.js';
import { invalid } from './invalid.js';

/** An entry of an archive's central directory. */
export interface ZipEntry {
  readonly name: string;
  readonly compression: 'stored' | 'deflated';
  readonly packedBytes: number;
  readonly bytes: number;
  readonly crc: number;
  readonly headerAt: number;
}

const maxEntries = 4096;
const maxDirectoryBytes = 4 * 2 ** 20;
/** Deflate reaches 1,032 at most: more is no honest size. */
const maxExpansion = 1032;
const blockBytes = 4 * 2 ** 20;

/**
 * The entries of a ZIP archive (PKWARE's APPNOTE, with its 64-bit fields), as numpy.savez and savez_compressed write
 * it. Throws DATA_INVALID for a damaged directory, encryption and compression other than deflate.
 */
export async function readZipEntries(archive: ByteSource): Promise<ReadonlyMap<string, ZipEntry>> {
  const { count, at, size } = await findDirectory(archive);
  const bytes = await archive.read(at, size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const entries = new Map<string, ZipEntry>();
  const damaged = (): Error => invalid(`${archive.name} has a damaged directory`);
  let p = 0;
  for (let i = 0; i < count; i++) {
    if (p + 46 > size || view.getUint32(p, true) !== 0x02014b50) throw damaged();
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((o) => view.getUint16(p + o, true)) as [
      number,
      number,
      number,
    ];
    const end = p + 46 + nameBytes + extraBytes + commentBytes;
    if (end > size) throw damaged();
    const name = Buffer.from(bytes.subarray(p + 46, p + 46 + nameBytes)).toString('utf8');
    const long = longFields(new DataView(bytes.buffer, bytes.byteOffset + p + 46 + nameBytes, extraBytes));
    // A field that is full stands for the next 64-bit one, in this order.
    const field = (at: number): number => {
      const value = view.getUint32(p + at, true);
      return value === 0xffffffff ? (long.shift() ?? value) : value;
    };
    const [unpacked, packed, headerAt] = [field(24), field(20), field(42)];
    const [flags, method] = [view.getUint16(p + 8, true), view.getUint16(p + 10, true)];
    const label = `${name} in ${archive.name}`;
    if (flags & 1) throw invalid(`${label} is encrypted`);
    if (method !== 0 && method !== 8)
      throw invalid(`${label} is compressed by method ${method}; stored and deflated entries are read`);
    if (entries.has(name)) throw invalid(`${archive.name} holds two entries named ${name}`);
    if (![unpacked, packed, headerAt].every(Number.isSafeInteger) || headerAt + packed > archive.size)
      throw invalid(`${label} reaches beyond the end of the archive`);
    if (method === 0 ? unpacked !== packed : unpacked > maxExpansion * packed)
      throw invalid(`${label} claims ${unpacked} bytes from ${packed}: no entry expands so far`);
    const compression = method === 0 ? 'stored' : 'deflated';
    const crc = view.getUint32(p + 16, true);
    entries.set(name, { name, compression, packedBytes: packed, bytes: unpacked, crc, headerAt });
    p = end;
  }
  return entries;
}

/** An entry's bytes, checked against its CRC-32 before any is given out. Throws DATA_INVALID. */
export async function openZipEntry(archive: ByteSource, entry: ZipEntry): Promise<ByteSource> {
  const label = `${entry.name} in ${archive.name}`;
  const header = await archive.read(entry.headerAt, Math.min(30, archive.size - entry.headerAt));
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  if (header.length < 30 || view.getUint32(0, true) !== 0x04034b50)
    throw invalid(`${label} has a damaged header`);
  const dataAt = entry.headerAt + 30 + view.getUint16(26, true) + view.getUint16(28, true);
  if (dataAt + entry.packedBytes > archive.size) throw invalid(`${label} is truncated`);
  const packed = partOfBytes(archive, label, dataAt, entry.packedBytes);
  const bytes = entry.compression === 'stored' ? packed : inflatedBytes(packed, entry.bytes);
  let crc = 0;
  for (let at = 0; at < entry.bytes; at += blockBytes)
    crc = crc32(await bytes.read(at, Math.min(blockBytes, entry.bytes - at)), crc);
  if (crc !== entry.crc) throw invalid(`${label} is damaged: its checksum differs`);
  return bytes;
}

/** Where the central directory lies: the end record stands within the last 64 KiB, its 64-bit form before it. */
async function findDirectory(
  archive: ByteSource,
): Promise<{ readonly count: number; readonly at: number; readonly size: number }> {
  const tail = Math.min(archive.size, 65_557);
  const bytes = await archive.read(archive.size - tail, tail);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let p = tail - 22; p >= 0; p--) {
    if (view.getUint32(p, true) !== 0x06054b50 || p + 22 + view.getUint16(p + 20, true) !== tail) continue;
    let found = {
      count: view.getUint16(p + 10, true),
      size: view.getUint32(p + 12, true),
      at: view.getUint32(p + 16, true),
    };
    if (p >= 20 && view.getUint32(p - 20, true) === 0x07064b50) {
      const endAt = Number(view.getBigUint64(p - 12, true));
      if (endAt + 56 > archive.size) throw invalid(`${archive.name} has a damaged end record`);
      const end = await archive.read(endAt, 56);
      const wide = new DataView(end.buffer, end.byteOffset, 56);
      if (wide.getUint32(0, true) !== 0x06064b50) throw invalid(`${archive.name} has a damaged end record`);
      const [count, size, at] = [32, 40, 48].map((o) => Number(wide.getBigUint64(o, true)));
      found = { count: count as number, size: size as number, at: at as number };
    }
    if (found.count > maxEntries || found.size > maxDirectoryBytes)
      throw invalid(`${archive.name} holds ${found.count} entries, more than the limit of ${maxEntries}`);
    if (found.at + found.size > archive.size) throw invalid(`${archive.name} has a damaged end record`);
    return found;
  }
  throw invalid(`${archive.name} is no ZIP archive, or a truncated one`);
}

/** The 64-bit fields of an entry's extra data (header 0x0001). */
function longFields(extra: DataView): number[] {
  for (let p = 0; p + 4 <= extra.byteLength; ) {
    const [id, size] = [extra.getUint16(p, true), extra.getUint16(p + 2, true)];
    if (id === 1 && p + 4 + size <= extra.byteLength)
      return Array.from({ length: Math.floor(size / 8) }, (_, i) =>
        Number(extra.getBigUint64(p + 4 + 8 * i, true)),
      );
    p += 4 + size;
  }
  return [];
}
