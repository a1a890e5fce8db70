import type { Elements, NumericType } from './elements.js';

/** Bytes that are read where they are asked for. */
export interface ByteSource {
  /** For messages: a path, or an entry of an archive. */
  readonly name: string;
  readonly size: number;
  /** Throws DATA_INVALID where fewer bytes are there. */
  read(position: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A whole array whose elements stay in their file until they are read. */
export interface StoredArray {
  readonly name: string;
  readonly dtype: NumericType;
  readonly dims: readonly number[];
  /** The file states no shape: its elements may be several examples. */
  readonly shapeless?: boolean;
  /** Elements `from` up to `to`, `to` left out, in row-major order; float16 comes widened to float32. */
  elements(from: number, to: number): Promise<Elements>;
  close(): Promise<void>;
}

/**
 * Examples that are read when they are asked for, so that a large set never lies in memory at once. The caller
 * that opens a source closes it.
 */
export interface ArraySource {
  readonly name: string;
  readonly count: number;
  /** Of one example. */
  readonly dims: readonly number[];
  readonly dtype: NumericType;
  /** Examples `from` up to `to`, `to` left out, one behind the other, row-major; float16 comes widened to float32. */
  examples(from: number, to: number): Promise<Elements>;
  close(): Promise<void>;
}
