import { HildaError } from '../core/errors.js';
import { onAbort } from '../core/on-abort.js';

interface Waiting {
  readonly start: () => void;
  readonly refuse: (reason: unknown) => void;
}

/** One at a time, in the order of asking. One that waits leaves on its signal. */
export class Turns {
  readonly #waiting: Waiting[] = [];
  #busy = false;
  #closed = false;
  #idle: (() => void)[] = [];

  /** Throws INTERRUPTED once closed, and the signal's reason where it aborts before the turn comes. */
  async run<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#turn(signal);
    try {
      signal.throwIfAborted();
      return await work();
    } finally {
      this.#next();
    }
  }

  /** Refuses what waits and what comes; resolves when the running work has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { refuse } of this.#waiting.splice(0)) refuse(stopped());
    if (this.#busy) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#closed) throw stopped();
    if (!this.#busy) {
      this.#busy = true;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(entry), 1);
        reject(signal.reason);
      };
      const settle = onAbort(signal, () => leave());
      const entry: Waiting = {
        start: () => {
          settle();
          resolve();
        },
        refuse: (reason) => {
          settle();
          reject(reason);
        },
      };
      this.#waiting.push(entry);
    });
  }

  #next(): void {
    const next = this.#waiting.shift();
    if (next) {
      next.start();
      return;
    }
    this.#busy = false;
    for (const wake of this.#idle.splice(0)) wake();
  }
}

const stopped = (): HildaError => new HildaError('INTERRUPTED', 'the daemon is stopping');
