import { onAbort } from './on-abort.js';

/** Time is injected: only this file reads the machine's clock or sets a timer. */
export interface Clock {
  /** Milliseconds since 1970, UTC. */
  nowMs(): number;
  /** Microseconds on a clock that never steps back; only differences mean something. */
  monotonicUs(): number;
  /** Resolves after `ms`, or rejects with the signal's reason as soon as it aborts. */
  sleep(ms: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}

/** What a timer holds: longer ones would go off at once (25 days). */
const mostTimerMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicUs: () => performance.now() * 1000,
  sleep: (ms, { signal } = {}) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      let timer: ReturnType<typeof setTimeout>;
      const wait = (leftMs: number): void => {
        timer = setTimeout(
          () => {
            if (leftMs > mostTimerMs) return wait(leftMs - mostTimerMs);
            stopListening?.();
            resolve();
          },
          Math.min(leftMs, mostTimerMs),
        );
      };
      wait(ms);
      const stopListening =
        signal &&
        onAbort(signal, () => {
          clearTimeout(timer);
          reject(signal.reason);
        });
    }),
};

/** Lets other work of the process run before what follows. */
export const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/** A clock for tests: time moves only when told to, and sleepers wake in order. */
export class ManualClock implements Clock {
  #nowMs: number;
  #sleepers: { readonly atMs: number; readonly wake: () => void }[] = [];

  constructor(startMs = 0) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicUs(): number {
    return this.#nowMs * 1000;
  }

  sleep(ms: number, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = (): void => reject(signal?.reason);
      const wake = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      this.#sleepers.push({ atMs: this.#nowMs + ms, wake });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Moves time on and lets the sleepers that are due run. */
  async advance(ms: number): Promise<void> {
    this.#nowMs += ms;
    const due = this.#sleepers.filter((s) => s.atMs <= this.#nowMs).sort((a, b) => a.atMs - b.atMs);
    this.#sleepers = this.#sleepers.filter((s) => s.atMs > this.#nowMs);
    for (const sleeper of due) sleeper.wake();
    await Promise.resolve();
  }
}
