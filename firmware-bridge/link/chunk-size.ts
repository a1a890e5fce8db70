const leastBytes = 32;
/** Chunks in a row that arrive before longer ones are tried again. */
const growAfter = 16;

/** How many bytes go into one frame: half as many after a loss, twice as many after a row of frames that arrived. */
export class ChunkSize {
  #bytes = Number.POSITIVE_INFINITY;
  #row = 0;

  /** At most `most`, what the receiver takes. */
  within(most: number): number {
    return Math.min(this.#bytes, most);
  }

  lost(bytes: number): void {
    this.#row = 0;
    this.#bytes = Math.max(leastBytes, Math.floor(Math.min(this.#bytes, bytes) / 2));
  }

  came(): void {
    if (++this.#row < growAfter) return;
    this.#row = 0;
    this.#bytes *= 2;
  }
}
