import { HildaError } from '../core/errors.js';

interface Waiting {
  readonly priority: number;
  readonly start: () => void;
  readonly refuse: (reason: unknown) => void;
}

/** One job at a time: higher priority first, equal ones in the order they came. A waiting job leaves on its signal. */
export class JobQueue {
  readonly #waiting: Waiting[] = [];
  #busy = false;
  #closed = false;
  #idle: (() => void)[] = [];

  async run<T>(
    job: () => Promise<T>,
    { priority, signal }: { readonly priority: number; readonly signal: AbortSignal },
  ): Promise<T> {
    await this.#turn(priority, signal);
    try {
      signal.throwIfAborted();
      return await job();
    } finally {
      this.#next();
    }
  }

  /** Refuses what waits and what comes; resolves when the running job has ended. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { refuse } of this.#waiting.splice(0)) refuse(stopped());
    if (this.#busy) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  async #turn(priority: number, signal: AbortSignal): Promise<void> {
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
      const entry: Waiting = {
        priority,
        start: () => {
          signal.removeEventListener('abort', leave);
          resolve();
        },
        refuse: (reason) => {
          signal.removeEventListener('abort', leave);
          reject(reason);
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      const behind = this.#waiting.findIndex((other) => other.priority < priority);
      this.#waiting.splice(behind === -1 ? this.#waiting.length : behind, 0, entry);
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
