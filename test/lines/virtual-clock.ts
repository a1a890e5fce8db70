import type { Clock } from '../../daemon/core/clock.js';

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/**
 * Time that jumps to the next sleeper as soon as nothing is left to do: hours of a slow line pass in seconds, in the same
 * order on every machine. It stands still while files are read or written.
 */
export class VirtualClock implements Clock {
  #nowMs: number;
  /** The earliest is last; of two at one time the later comer is first. */
  readonly #sleepers: Sleeper[] = [];

  constructor(startMs = Date.UTC(2026, 10, 30)) {
    this.#nowMs = startMs;
  }

  nowMs = (): number => Math.round(this.#nowMs);

  monotonicUs = (): number => this.#nowMs * 1000;

  sleep = (ms: number, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> =>
    new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const sleeper: Sleeper = {
        atMs: this.#nowMs + Math.max(0, ms),
        wake: () => {
          signal?.removeEventListener('abort', abort);
          resolve();
        },
      };
      const abort = (): void => {
        this.#sleepers.splice(this.#sleepers.indexOf(sleeper), 1);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      let at = this.#sleepers.length;
      while (at > 0 && (this.#sleepers[at - 1] as Sleeper).atMs <= sleeper.atMs) at--;
      this.#sleepers.splice(at, 0, sleeper);
    });

  /** Lets time pass until the condition holds. Answers false where it does not within `limitMs`, or nobody sleeps. */
  async until(holds: () => boolean, limitMs = 3_600_000): Promise<boolean> {
    const endMs = this.#nowMs + limitMs;
    for (;;) {
      await idle();
      if (holds()) return true;
      const next = this.#sleepers.at(-1);
      if (!next || next.atMs > endMs) return false;
      this.#sleepers.pop();
      this.#nowMs = next.atMs;
      next.wake();
    }
  }

  async pass(ms: number): Promise<void> {
    let passed = false;
    void this.sleep(ms).then(() => {
      passed = true;
    });
    await this.until(() => passed, ms);
  }
}

/** Resolves once no promise is left to run and the system owes no answer, e.g. of a file that is read. */
async function idle(): Promise<void> {
  do await new Promise(setImmediate);
  while (process.getActiveResourcesInfo().some((resource) => /Req/.test(resource)));
}
