import { ceilTo, reference } from '../layout/format.js';

/** Where an operator's constants go: `real` bytes in the program, or a stretch of the board's weight pool. */
export interface ConstantStore {
  /** A reference to these bytes. `isWeight`: drawn from the pool in latency runs. */
  place(bytes: Uint8Array, isWeight: boolean): number;
}

/** The constants blob of a program. Equal small constants (tables) are kept once. */
export class ConstantBlob implements ConstantStore {
  readonly #parts: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  readonly #known = new Map<string, number>();
  #size = 0;

  place(bytes: Uint8Array, _isWeight: boolean): number {
    const key = bytes.length <= 1024 ? bytes.join() : undefined;
    const known = key === undefined ? undefined : this.#known.get(key);
    if (known !== undefined) return known;
    // 16: vector loads of whole weight blocks stay within a line.
    const at = ceilTo(this.#size, bytes.length >= 64 ? 16 : 4);
    this.#parts.push({ at, bytes });
    this.#size = at + bytes.length;
    const placed = reference('program', at);
    if (key !== undefined) this.#known.set(key, placed);
    return placed;
  }

  get size(): number {
    return ceilTo(this.#size, 4);
  }

  bytes(): Uint8Array {
    const out = new Uint8Array(this.size);
    for (const { at, bytes } of this.#parts) out.set(bytes, at);
    return out;
  }
}

/**
 * Weights in the board's pool, one layer behind the other and round again: kernels take the same time for all
 * weights, and walk addresses as they would in flash.
 */
export class PooledConstants implements ConstantStore {
  readonly blob = new ConstantBlob();
  /** What the program would hold with its real weights: what a deployment takes of the flash. */
  readonly deployed = new ConstantBlob();
  readonly #poolBytes: number;
  #at = 0;
  #used = 0;

  constructor(poolBytes: number) {
    this.#poolBytes = poolBytes;
  }

  place(bytes: Uint8Array, isWeight: boolean): number {
    const size = ceilTo(bytes.length, 16);
    this.deployed.place(bytes, isWeight);
    // A layer larger than the pool, which a sane pool never meets, travels with the program.
    if (!isWeight || size > this.#poolBytes) return this.blob.place(bytes, isWeight);
    if (this.#at + size > this.#poolBytes) this.#at = 0;
    const placed = reference('pool', this.#at);
    this.#at += size;
    this.#used = Math.max(this.#used, this.#at);
    return placed;
  }

  /** Pool bytes that the program reads. */
  get usedBytes(): number {
    return this.#used;
  }
}
