import type { Clock } from '../core/clock.js';
import { asHildaError, type ErrorCode, type HildaError } from '../core/errors.js';

export interface LateWritesOptions {
  readonly clock: Clock;
  readonly warn: (error: HildaError, message: string) => void;
  /** Between two tries where the store takes nothing. */
  readonly againMs: number;
}

interface Kept {
  readonly what: string;
  readonly write: () => Promise<unknown>;
}

/** Faults of the store that end when somebody makes room, or another process lets go of it. */
const passing: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['DISK_FULL', 'DISK_FAILED', 'STORE_BUSY']);

/** Whether the store may take the same write later. */
export const mayPass = (error: HildaError): boolean => passing.has(error.code);

/**
 * What is to be stored and could not be, as on a full disk: it is written once the store takes it, in the order in which it
 * came.
 */
export class LateWrites {
  readonly #options: LateWritesOptions;
  readonly #life = new AbortController();
  #kept: Kept[] = [];
  #emptying: Promise<void> | undefined;

  constructor(options: LateWritesOptions) {
    this.#options = options;
  }

  /** Keeps a write that was refused for now. */
  keep(what: string, error: HildaError, write: () => Promise<unknown>): void {
    this.#options.warn(error, `${what} is not stored yet; it is tried again`);
    this.#kept.push({ what, write });
    this.#emptying ??= this.#empty().finally(() => {
      this.#emptying = undefined;
    });
  }

  /** Writes now, or keeps it for later and throws why. */
  async write<T>(what: string, write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (thrown) {
      const error = asHildaError(thrown);
      if (mayPass(error)) this.keep(what, error, write);
      throw error;
    }
  }

  /** One last try. What the store does not take is lost: the next daemon finds the rows as they were. */
  async stop(): Promise<void> {
    this.#life.abort();
    await this.#emptying;
    await this.#flush();
  }

  async #empty(): Promise<void> {
    const { clock, againMs } = this.#options;
    while (this.#kept.length > 0) {
      try {
        await clock.sleep(againMs, { signal: this.#life.signal });
      } catch {
        return;
      }
      await this.#flush();
    }
  }

  async #flush(): Promise<void> {
    for (let next = this.#kept[0]; next; next = this.#kept[0]) {
      try {
        await next.write();
      } catch (thrown) {
        const error = asHildaError(thrown);
        if (mayPass(error)) return;
        this.#options.warn(error, `${next.what} cannot be stored`);
      }
      this.#kept.shift();
    }
  }
}
