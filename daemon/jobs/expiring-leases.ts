import type { Clock } from '../core/clock.js';
import { asHildaError, type HildaError } from '../core/errors.js';
import type { Store } from '../store/contract.js';

export interface ExpiringLeasesOptions {
  readonly store: Pick<Store, 'freeExpired' | 'leases'>;
  readonly clock: Clock;
  /** How the holders begin whose leases are watched. */
  readonly prefix: string;
  readonly warn?: (error: HildaError, message: string) => void;
}

/** Where the store cannot be asked, it is asked again so often. */
const againMs = 5000;
/** A timer takes no more than 2^31 ms. */
const longestMs = 2 ** 30;

/** Frees leases at the moment at which they run out, so that readers hear of it although nobody asks for the device. */
export class ExpiringLeases {
  readonly #options: ExpiringLeasesOptions;
  readonly #life = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(options: ExpiringLeasesOptions) {
    this.#options = options;
  }

  start(): void {
    this.#running = this.#run();
  }

  /** A lease began, or was prolonged. */
  changed(): void {
    this.#wake.abort();
  }

  async stop(): Promise<void> {
    this.#life.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { store, clock, prefix, warn } = this.#options;
    while (!this.#life.signal.aborted) {
      this.#wake = new AbortController();
      let waitMs = longestMs;
      try {
        await store.freeExpired(prefix);
        const live = (await store.leases()).filter(({ holder }) => holder.startsWith(prefix));
        const next = Math.min(...live.map(({ expiresMs }) => expiresMs));
        waitMs = Math.min(longestMs, Math.max(1, next - clock.nowMs()));
      } catch (thrown) {
        waitMs = againMs;
        warn?.(asHildaError(thrown), 'leases that ran out could not be freed');
      }
      const signal = AbortSignal.any([this.#life.signal, this.#wake.signal]);
      await clock.sleep(waitMs, { signal }).catch(() => {});
    }
  }
}
