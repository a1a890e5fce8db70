import type { TrialRecord } from '../store/contract.js';

/** A trial's place on the study's devices. It may be left early, while somebody else works on the trial. */
export interface Lane {
  leave(): void;
}

/** So many places; those who wait get one in the order of asking. */
export class Lanes {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async enter(): Promise<Lane> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let left = false;
    return {
      leave: () => {
        if (left) return;
        left = true;
        const next = this.#waiting.shift();
        if (next) next();
        else this.#free++;
      },
    };
  }
}

export interface CrewOptions {
  readonly lanes: Lanes;
  readonly signal: AbortSignal;
  /** Answers whether the trial is held. Its signal aborts as soon as another trial throws. */
  readonly work: (trial: TrialRecord, signal: AbortSignal, lane: Lane) => Promise<boolean>;
  /** A trial was held: `takeHeld` has it. */
  readonly onHeld?: () => void;
}

/** Trials under way, begun in the order of `start` as lanes become free. */
export class Crew {
  readonly #options: CrewOptions;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #held: TrialRecord[] = [];
  #failure: { readonly error: unknown } | undefined;
  /** Aborts with the caller's signal, and when work throws. */
  readonly signal: AbortSignal;

  constructor(options: CrewOptions) {
    this.#options = options;
    this.signal = AbortSignal.any([options.signal, this.#stop.signal]);
  }

  start(trial: TrialRecord): void {
    const { lanes, work, onHeld } = this.#options;
    this.also(async () => {
      const lane = await lanes.enter();
      try {
        this.signal.throwIfAborted();
        if (!(await work(trial, this.signal, lane))) return;
        this.#held.push(trial);
        onHeld?.();
      } finally {
        lane.leave();
      }
    });
  }

  /** Other work that `ended` waits for. */
  also(work: () => Promise<void>): void {
    const running = work()
      .catch((error: unknown) => {
        this.#failure ??= { error };
        this.#stop.abort(error);
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** The trials that were held since the last call, by number. */
  takeHeld(): TrialRecord[] {
    const held = this.#held.sort((a, b) => a.number - b.number);
    this.#held = [];
    return held;
  }

  /** Resolves when nothing is under way; throws what was thrown first. */
  async ended(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
    if (this.#failure) throw this.#failure.error;
  }
}
