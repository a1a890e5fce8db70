import type { Clock } from './clock.js';

interface Sleeper {
  readonly atUs: number;
  readonly wake: () => void;
}

/** Turns of the event loop without a new sleeper after which nothing else is about to happen. */
const idleTurns = 3;

/**
 * A clock whose time jumps to the next sleeper as soon as all others wait: what takes minutes of it takes milliseconds.
 * Only for parties that live in this process and wait by this clock alone, e.g. a scripted board.
 */
export class SimulatedClock implements Clock {
  #nowUs: number;
  #sleepers: Sleeper[] = [];
  #running = false;

  constructor(startMs = 0) {
    this.#nowUs = startMs * 1000;
  }

  nowMs(): number {
    return this.#nowUs / 1000;
  }

  monotonicUs(): number {
    return this.#nowUs;
  }

  sleep(ms: number, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const forget = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal?.reason);
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', forget);
        resolve();
      };
      // Whole microseconds, and never none: who sleeps until a time has reached it afterwards.
      const sleeper: Sleeper = { atUs: this.#nowUs + Math.max(1, Math.ceil(ms * 1000)), wake };
      this.#sleepers.push(sleeper);
      signal?.addEventListener('abort', forget, { once: true });
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#sleepers.length > 0) {
      for (let turn = 0; turn < idleTurns; turn++) await new Promise<void>((next) => setImmediate(next));
      const next = this.#sleepers.reduce<Sleeper | undefined>(
        (first, sleeper) => (first && first.atUs <= sleeper.atUs ? first : sleeper),
        undefined,
      );
      if (!next) continue;
      this.#sleepers = this.#sleepers.filter((sleeper) => sleeper !== next);
      this.#nowUs = Math.max(this.#nowUs, next.atUs);
      next.wake();
    }
    this.#running = false;
  }
}
