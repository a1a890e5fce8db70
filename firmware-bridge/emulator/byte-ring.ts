/** Bytes from one thread to another, one writer and one reader, without the event loop of either. */
export class ByteRing {
  readonly #indices: Int32Array;
  readonly #bytes: Uint8Array;

  /** `memory`: 8 bytes of indices, then a power of two of bytes. */
  constructor(memory: SharedArrayBuffer) {
    this.#indices = new Int32Array(memory, 0, 2);
    this.#bytes = new Uint8Array(memory, 8);
  }

  static memory(bytes: number): SharedArrayBuffer {
    return new SharedArrayBuffer(8 + bytes);
  }

  /** How many of them were taken. */
  write(bytes: Uint8Array): number {
    const size = this.#bytes.length;
    const tail = Atomics.load(this.#indices, 1);
    const room = size - ((tail - Atomics.load(this.#indices, 0)) | 0);
    const count = Math.min(room, bytes.length);
    for (let i = 0; i < count; i++) this.#bytes[(tail + i) & (size - 1)] = bytes[i] as number;
    Atomics.store(this.#indices, 1, (tail + count) | 0);
    return count;
  }

  /** -1 when there is none. */
  read(): number {
    const head = Atomics.load(this.#indices, 0);
    if (head === Atomics.load(this.#indices, 1)) return -1;
    const byte = this.#bytes[head & (this.#bytes.length - 1)] as number;
    Atomics.store(this.#indices, 0, (head + 1) | 0);
    return byte;
  }
}
