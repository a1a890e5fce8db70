import type { Clock } from '../core/clock.js';
import { asHildaError, type HildaError } from '../core/errors.js';
import type { Store } from '../store/contract.js';

export interface RenewOptions {
  readonly store: Pick<Store, 'renewLeases'>;
  readonly clock: Clock;
  readonly owner: string;
  readonly ttlMs: number;
  readonly warn: (error: HildaError, message: string) => void;
  /** Whether any lease is held. */
  readonly isHolding: () => boolean;
  /** Leases are renewed beyond its abort, for as long as any is held. */
  readonly signal: AbortSignal;
}

/** Keeps the leases of a daemon alive: three tries in a lease's life, so that one slow write does not lose the devices. */
export async function renewLeases(options: RenewOptions): Promise<void> {
  const { store, clock, owner, ttlMs, warn, isHolding, signal } = options;
  while (!signal.aborted || isHolding()) {
    try {
      await clock.sleep(ttlMs / 3, { signal });
    } catch {
      // What still runs is told to end at the same moment.
      if (!isHolding()) return;
    }
    if (isHolding())
      await store
        .renewLeases(owner, ttlMs)
        .catch((thrown: unknown) => warn(asHildaError(thrown), 'leases could not be renewed'));
    if (signal.aborted) return;
  }
}
