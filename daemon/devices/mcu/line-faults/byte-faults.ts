import { type Rng, randomInt } from '../../../core/rng.js';

/** What happens to the bytes of one direction. Shares are probabilities. */
export interface ByteFaults {
  /** Of each byte. */
  readonly lose?: number;
  readonly flip?: number;
  readonly repeat?: number;
  /** Of each piece, as it was written or as it came: lost as a whole. */
  readonly losePieces?: number;
  /** Of each decimal digit: lost. The damage that a text protocol notices least. */
  readonly loseDigits?: number;
  /** Pieces are cut into so many bytes at most, `gapMs` apart. */
  readonly splitBytes?: number;
  readonly gapMs?: number;
  /** Each piece is late by `delayMs` and up to `jitterMs` more; none overtakes another. */
  readonly delayMs?: number;
  readonly jitterMs?: number;
}

/** The bytes of one piece as they arrive; empty where it is lost. */
export function damaged(bytes: Uint8Array, faults: ByteFaults, rng: Rng): Uint8Array {
  const { lose = 0, flip = 0, repeat = 0, losePieces = 0, loseDigits = 0 } = faults;
  if (losePieces > 0 && rng.next() < losePieces) return new Uint8Array(0);
  if (lose + flip + repeat + loseDigits === 0) return bytes;
  const out: number[] = [];
  for (const byte of bytes) {
    if (rng.next() < lose) continue;
    if (loseDigits > 0 && byte >= 0x30 && byte <= 0x39 && rng.next() < loseDigits) continue;
    const arrived = rng.next() < flip ? byte ^ (1 << randomInt(rng, 8)) : byte;
    out.push(arrived);
    if (rng.next() < repeat) out.push(arrived);
  }
  return Uint8Array.from(out);
}

/** The parts that a piece arrives in. */
export function split(bytes: Uint8Array, { splitBytes = 0 }: ByteFaults): Uint8Array[] {
  if (splitBytes <= 0) return bytes.length > 0 ? [bytes] : [];
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += splitBytes) parts.push(bytes.subarray(at, at + splitBytes));
  return parts;
}

/** Milliseconds that the next piece is late by. */
export const lateness = ({ delayMs = 0, jitterMs = 0 }: ByteFaults, rng: Rng): number =>
  delayMs + (jitterMs > 0 ? jitterMs * rng.next() : 0);
