import type { Clock } from '../core/clock.js';
import type { Entry } from './entry.js';

export interface AppointmentsOptions {
  readonly clock: Clock;
  /** Aborts with the daemon. */
  readonly signal: AbortSignal;
}

/** A timer takes no more than 2^31 ms. */
const longestMs = 2 ** 30;

/** Jobs that are not to begin yet, and jobs that fail unless they begin in time. */
export class Appointments {
  readonly #options: AppointmentsOptions;
  readonly #later = new Set<Entry>();

  constructor(options: AppointmentsOptions) {
    this.#options = options;
  }

  /** How many are not to begin yet. */
  get size(): number {
    return this.#later.size;
  }

  /** Begins a job at a time, unless it is removed before. */
  async beginAt(entry: Entry, atMs: number, begin: () => void): Promise<void> {
    this.#later.add(entry);
    if ((await this.#slept(entry, atMs)) && this.#later.delete(entry)) begin();
  }

  /** Whether it was to begin later. */
  remove(entry: Entry): boolean {
    return this.#later.delete(entry);
  }

  /** Calls back at a time, unless the job is cancelled before. */
  async missAt(entry: Entry, atMs: number, miss: () => void): Promise<void> {
    if (await this.#slept(entry, atMs)) miss();
  }

  async #slept(entry: Entry, untilMs: number): Promise<boolean> {
    const { clock } = this.#options;
    const signal = AbortSignal.any([entry.abort.signal, this.#options.signal]);
    try {
      for (let left = untilMs - clock.nowMs(); left > 0; left = untilMs - clock.nowMs())
        await clock.sleep(Math.min(left, longestMs), { signal });
    } catch {
      return false;
    }
    return !signal.aborted;
  }
}
