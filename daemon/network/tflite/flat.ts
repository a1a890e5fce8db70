import { ByteBuffer } from 'flatbuffers';
import { invalid } from './invalid.js';

/**
 * A flatbuffer whose every offset and length is checked before it is followed. Elements read are counted: offsets may
 * point to the same bytes, so that a small file could otherwise stand for any amount of data.
 * Format: https://flatbuffers.dev/internals. Throws TFLITE_INVALID.
 */
export class FlatFile {
  readonly bytes: Uint8Array;
  readonly buffer: ByteBuffer;
  #left: number;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.buffer = new ByteBuffer(bytes);
    this.#left = 16 * bytes.length;
  }

  root(): Table {
    return new Table(this, this.follow(0));
  }

  /** Refuses a range that leaves the file. */
  check(at: number, length: number): void {
    if (at < 0 || !(at + length <= this.bytes.length))
      throw invalid(`${length} bytes at ${at} lie outside the file of ${this.bytes.length}`);
  }

  count(elements: number): void {
    this.#left -= elements;
    if (this.#left < 0) throw invalid('its tables refer to the same bytes again and again');
  }

  /** Where the relative offset at `at` points to. */
  follow(at: number): number {
    this.check(at, 4);
    return at + this.buffer.readUint32(at);
  }

  /** The bytes that another part of the file holds, counted from its start. */
  slice(at: number, length: number): Uint8Array {
    this.check(at, length);
    return this.bytes.subarray(at, at + length);
  }
}

/** A table of a flatbuffer; its fields are asked for by number, in the order of the schema, and may be absent. */
export class Table {
  readonly #file: FlatFile;
  readonly #at: number;
  readonly #vtable: number;
  /** Bytes of the vtable. */
  readonly #length: number;

  constructor(file: FlatFile, at: number) {
    file.check(at, 4);
    file.count(1);
    this.#file = file;
    this.#at = at;
    this.#vtable = at - file.buffer.readInt32(at);
    file.check(this.#vtable, 4);
    this.#length = file.buffer.readUint16(this.#vtable);
    if (this.#length < 4) throw invalid(`the table at ${at} has a vtable of ${this.#length} bytes`);
    file.check(this.#vtable, this.#length);
  }

  /** The number of fields that the vtable has room for. */
  get fields(): number {
    return Math.floor((this.#length - 4) / 2);
  }

  has(field: number): boolean {
    return this.#find(field) !== undefined;
  }

  byte(field: number, initial = 0): number {
    const at = this.#find(field, 1);
    return at === undefined ? initial : this.#file.buffer.readInt8(at);
  }

  bool(field: number, initial = false): boolean {
    return this.byte(field, initial ? 1 : 0) !== 0;
  }

  int(field: number, initial = 0): number {
    const at = this.#find(field, 4);
    return at === undefined ? initial : this.#file.buffer.readInt32(at);
  }

  uint(field: number, initial = 0): number {
    return this.int(field, initial) >>> 0;
  }

  float(field: number, initial = 0): number {
    const at = this.#find(field, 4);
    return at === undefined ? initial : this.#file.buffer.readFloat32(at);
  }

  /** A 64-bit offset or size. */
  long(field: number): number {
    const at = this.#find(field, 8);
    return at === undefined ? 0 : Number(this.#file.buffer.readUint64(at));
  }

  text(field: number): string {
    return new TextDecoder().decode(this.bytes(field));
  }

  table(field: number): Table | undefined {
    const at = this.#find(field, 4);
    return at === undefined ? undefined : new Table(this.#file, this.#file.follow(at));
  }

  tables(field: number): Table[] {
    return this.#elements(field, 4, (at) => new Table(this.#file, this.#file.follow(at)));
  }

  ints(field: number): number[] {
    return this.#elements(field, 4, (at) => this.#file.buffer.readInt32(at));
  }

  floats(field: number): number[] {
    return this.#elements(field, 4, (at) => this.#file.buffer.readFloat32(at));
  }

  longs(field: number): number[] {
    return this.#elements(field, 8, (at) => Number(this.#file.buffer.readInt64(at)));
  }

  /** The bytes of a vector, where they lie. */
  bytes(field: number): Uint8Array {
    const { start, length } = this.#vector(field, 1);
    return this.#file.slice(start, length);
  }

  #elements<T>(field: number, width: number, read: (at: number) => T): T[] {
    const { start, length } = this.#vector(field, width);
    this.#file.count(length);
    return Array.from({ length }, (_, i) => read(start + i * width));
  }

  #vector(field: number, width: number): { readonly start: number; readonly length: number } {
    const at = this.#find(field, 4);
    if (at === undefined) return { start: 0, length: 0 };
    const vector = this.#file.follow(at);
    this.#file.check(vector, 4);
    const length = this.#file.buffer.readUint32(vector);
    this.#file.check(vector + 4, length * width);
    return { start: vector + 4, length };
  }

  #find(field: number, width = 1): number | undefined {
    const entry = 4 + 2 * field;
    if (entry + 2 > this.#length) return undefined;
    const offset = this.#file.buffer.readUint16(this.#vtable + entry);
    if (offset === 0) return undefined;
    this.#file.check(this.#at + offset, width);
    return this.#at + offset;
  }
}
