import type { Clock } from '../../core/clock.js';

/** The first wait is short: a board that was just plugged in may still be booting. Each further one is twice as long. */
const firstWaitMs = 1500;
const secondWaitMs = 10_000;
const longestWaitMs = 600_000;

interface Asked {
  times: number;
  dueMs: number;
  reason: string;
}

/** Ports on which nothing was recognised: when they are asked again, and why nothing was. */
export class AskedPorts {
  readonly #asked = new Map<string, Asked>();

  /** How often a port was asked in vain. */
  times(identity: string): number {
    return this.#asked.get(identity)?.times ?? 0;
  }

  due(identity: string, nowMs: number): boolean {
    return (this.#asked.get(identity)?.dueMs ?? 0) <= nowMs;
  }

  anyDue(nowMs: number): boolean {
    return [...this.#asked.values()].some(({ dueMs }) => dueMs <= nowMs);
  }

  reason(identity: string): string | undefined {
    return this.#asked.get(identity)?.reason;
  }

  failed(identity: string, nowMs: number, reason: string): void {
    const times = this.times(identity) + 1;
    const waitMs =
      times === 1 ? firstWaitMs : Math.min(longestWaitMs, secondWaitMs * 2 ** Math.min(times - 2, 10));
    this.#asked.set(identity, { times, dueMs: nowMs + waitMs, reason });
  }

  forget(identity: string): void {
    this.#asked.delete(identity);
  }

  /** Forgets ports that are no longer there. */
  keep(present: ReadonlySet<string>): void {
    for (const identity of this.#asked.keys()) if (!present.has(identity)) this.#asked.delete(identity);
  }
}

/** Calls back while ports are due to be asked again, until the signal aborts. */
export async function watchDue(
  asked: AskedPorts,
  options: {
    readonly clock: Clock;
    readonly everyMs: number;
    readonly signal: AbortSignal;
    readonly onChange: () => void;
  },
): Promise<void> {
  const { clock, everyMs, signal, onChange } = options;
  while (!signal.aborted) {
    await clock.sleep(everyMs, { signal });
    if (asked.anyDue(clock.nowMs())) onChange();
  }
}
