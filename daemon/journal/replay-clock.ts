import { type Clock, pause } from '../core/clock.js';

/** The clock of a replayed loop: who sleeps wakes at once, and that much later. Nothing of a replay depends on real time. */
export class ReplayClock implements Clock {
  #nowMs: number;

  constructor(startMs: number) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  monotonicUs(): number {
    return this.#nowMs * 1000;
  }

  async sleep(ms: number, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    signal?.throwIfAborted();
    this.#nowMs += ms;
    await pause();
    signal?.throwIfAborted();
  }
}
