const leastBytes = 32;
/** What a lost frame weighs against one that arrived: a size is kept where about one frame in four gets lost. */
const lossWeight = 3;
const shrinkAt = 2 * lossWeight;
const growAt = -12;

/**
 * How many bytes go into one frame: half as many where over a quarter of the frames get lost, twice as many where fewer do.
 * Noise hits long frames more often; losses that do not depend on the length would only be multiplied by short ones.
 */
export class ChunkSize {
  #bytes = Number.POSITIVE_INFINITY;
  #score = 0;

  /** At most `most`, what the receiver takes. */
  within(most: number): number {
    return Math.min(this.#bytes, most);
  }

  lost(bytes: number): void {
    this.#score = Math.max(0, this.#score) + lossWeight;
    if (this.#score < shrinkAt) return;
    this.#score = 0;
    this.#bytes = Math.max(leastBytes, Math.floor(Math.min(this.#bytes, bytes) / 2));
  }

  came(): void {
    if (--this.#score > growAt) return;
    this.#score = 0;
    this.#bytes *= 2;
  }
}
