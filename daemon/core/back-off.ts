export interface BackOffOptions {
  /** The longest first wait. */
  readonly firstMs: number;
  /** No wait is longer. */
  readonly mostMs: number;
  /** Numbers of [0, 1), even in distribution: peers that lost one daemon must not come back in one moment. */
  readonly chance: () => number;
}

const growth = 2;

/** The wait after so many failures in a row, milliseconds. */
export const backOffMs = (failures: number, { firstMs, mostMs, chance }: BackOffOptions): number =>
  Math.min(mostMs, firstMs * growth ** (failures - 1)) * (0.5 + 0.5 * chance());

/**
 * Waits between tries: the bound doubles from `firstMs` to `mostMs`, and each wait is drawn from the upper half below it. (Full
 * and equal jitter: M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015; this is the latter.)
 */
export class BackOff {
  readonly #options: BackOffOptions;
  #failures = 0;

  constructor(options: BackOffOptions) {
    this.#options = options;
  }

  /** Tries that failed since the last success. */
  get failures(): number {
    return this.#failures;
  }

  /** The next wait, milliseconds. */
  next(): number {
    this.#failures++;
    return backOffMs(this.#failures, this.#options);
  }

  /** A try succeeded. */
  reset(): void {
    this.#failures = 0;
  }
}
