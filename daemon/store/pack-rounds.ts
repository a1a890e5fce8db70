import { HildaError } from '../core/errors.js';
import type { Round } from '../core/measurement.js';

/**
 * Rounds as one blob, little endian: byte 0 the layout's version (1), bytes 1 to 4 the number of rounds n (uint32),
 * then n times 3 float64 (referenceBeforeUs, candidateUs, referenceAfterUs), then ceil(n / 8) bytes of `kept` bits,
 * lowest bit first. Lossless; 24.125 bytes a round against about 110 as JSON.
 */
const version = 1;
const headerBytes = 5;
const roundBytes = 24;

const blobBytes = (n: number): number => headerBytes + n * roundBytes + Math.ceil(n / 8);

export function packRounds(rounds: readonly Round[]): Uint8Array {
  const bytes = new Uint8Array(blobBytes(rounds.length));
  const view = new DataView(bytes.buffer);
  const bits = headerBytes + rounds.length * roundBytes;
  view.setUint8(0, version);
  view.setUint32(1, rounds.length, true);
  for (const [i, round] of rounds.entries()) {
    const at = headerBytes + i * roundBytes;
    view.setFloat64(at, round.referenceBeforeUs, true);
    view.setFloat64(at + 8, round.candidateUs, true);
    view.setFloat64(at + 16, round.referenceAfterUs, true);
    if (round.kept) bytes[bits + (i >> 3)]! |= 1 << (i & 7);
  }
  return bytes;
}

/** Throws STORE_CORRUPT when the bytes are not what `packRounds` wrote. */
export function unpackRounds(bytes: Uint8Array): Round[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const n = bytes.byteLength >= headerBytes && view.getUint8(0) === version ? view.getUint32(1, true) : -1;
  if (n < 0 || bytes.byteLength !== blobBytes(n))
    throw new HildaError('STORE_CORRUPT', 'the rounds of a measurement are damaged');
  const bits = headerBytes + n * roundBytes;
  return Array.from({ length: n }, (_, i) => {
    const at = headerBytes + i * roundBytes;
    return {
      referenceBeforeUs: view.getFloat64(at, true),
      candidateUs: view.getFloat64(at + 8, true),
      referenceAfterUs: view.getFloat64(at + 16, true),
      kept: (bytes[bits + (i >> 3)]! & (1 << (i & 7))) !== 0,
    };
  });
}
