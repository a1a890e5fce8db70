import type { Clock } from './clock.js';

interface Sleeper {
  readonly atUs: number;
  /** In the order of asking: who asked first wakes first at the same moment. */
  readonly turn: number;
  readonly wake: () => void;
  left: boolean;
}

/** Turns of the event loop without a new sleeper after which nothing else is about to happen. */
const idleTurns = 3;

/**
 * A clock whose time jumps to the next sleeper as soon as all others wait: what takes minutes of it takes milliseconds.
 * For parties that live in this process and wait by this clock alone, e.g. a scripted board; what waits for something else, e.g. a
 * database, holds the clock meanwhile.
 */
export class SimulatedClock implements Clock {
  #nowUs: number;
  /** A binary heap: thousands of devices sleep at a time. */
  readonly #sleepers: Sleeper[] = [];
  #turns = 0;
  #running = false;
  #holds = 0;
  #released: (() => void) | undefined;

  constructor(startMs = 0) {
    this.#nowUs = startMs * 1000;
  }

  nowMs(): number {
    return this.#nowUs / 1000;
  }

  monotonicUs(): number {
    return this.#nowUs;
  }

  /** Time stands still until the work has ended, well or not. */
  async hold<T>(work: () => Promise<T>): Promise<T> {
    this.#holds++;
    try {
      return await work();
    } finally {
      this.#holds--;
      if (this.#holds === 0) this.#released?.();
    }
  }

  sleep(ms: number, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const forget = (): void => {
        sleeper.left = true;
        reject(signal?.reason);
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', forget);
        resolve();
      };
      // Whole microseconds, and never none: who sleeps until a time has reached it afterwards.
      const atUs = this.#nowUs + Math.max(1, Math.ceil(ms * 1000));
      const sleeper: Sleeper = { atUs, turn: this.#turns++, wake, left: false };
      this.#add(sleeper);
      signal?.addEventListener('abort', forget, { once: true });
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#sleepers.length > 0) {
      await this.#idle();
      const next = this.#take();
      if (!next || next.left) continue;
      this.#nowUs = Math.max(this.#nowUs, next.atUs);
      next.wake();
    }
    this.#running = false;
  }

  async #idle(): Promise<void> {
    for (let turn = 0; turn < idleTurns; turn++) {
      await new Promise<void>((next) => setImmediate(next));
      if (this.#holds === 0) continue;
      await new Promise<void>((released) => {
        this.#released = released;
      });
      this.#released = undefined;
      turn = -1;
    }
    // Those that left sleep no more, and are no reason for a pause.
    while (this.#sleepers[0]?.left) this.#take();
  }

  #add(sleeper: Sleeper): void {
    const heap = this.#sleepers;
    let at = heap.push(sleeper) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(heap[at] as Sleeper, heap[parent] as Sleeper)) return;
      [heap[at], heap[parent]] = [heap[parent] as Sleeper, heap[at] as Sleeper];
      at = parent;
    }
  }

  #take(): Sleeper | undefined {
    const heap = this.#sleepers;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || first === last) return first;
    heap[0] = last;
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let least = at;
      for (const child of [left, right])
        if (child < heap.length && isBefore(heap[child] as Sleeper, heap[least] as Sleeper)) least = child;
      if (least === at) return first;
      [heap[at], heap[least]] = [heap[least] as Sleeper, heap[at] as Sleeper];
      at = least;
    }
  }
}

const isBefore = (a: Sleeper, b: Sleeper): boolean =>
  a.atUs < b.atUs || (a.atUs === b.atUs && a.turn < b.turn);
