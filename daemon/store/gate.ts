interface Waiting {
  readonly start: () => void;
}

/** So many of the others run between two urgent ones, where both wait. */
const othersBetween = 4;

/**
 * Orders the use of the one connection: urgent work goes before the rest, which keeps a share of it. Without it, a device that
 * is free waits behind every reader.
 */
export class Gate {
  readonly #urgent: Waiting[] = [];
  readonly #others: Waiting[] = [];
  #busy = false;
  /** Others that may still go before the next urgent one. */
  #left = 0;

  async run<T>(work: () => PromiseLike<T>, { urgent = false } = {}): Promise<T> {
    if (this.#busy) {
      const line = urgent ? this.#urgent : this.#others;
      await new Promise<void>((start) => line.push({ start }));
    }
    this.#busy = true;
    if (urgent) this.#left = othersBetween;
    else this.#left--;
    try {
      return await work();
    } finally {
      this.#next();
    }
  }

  #next(): void {
    const next =
      this.#others.length > 0 && (this.#left > 0 || this.#urgent.length === 0)
        ? this.#others.shift()
        : this.#urgent.shift();
    if (next) next.start();
    else this.#busy = false;
  }
}
