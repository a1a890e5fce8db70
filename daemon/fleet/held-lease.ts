import type { Clock } from '../core/clock.js';
import { asHildaError, type HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Lease, Store } from '../store/contract.js';

export interface LeaseTimes {
  /** How long a lease outlives its last renewal: the wait after a daemon died on another host. */
  readonly ttlMs: number;
  /** How often a lease that another daemon holds is asked for again. */
  readonly retryMs: number;
}

export interface HeldLeaseOptions extends LeaseTimes {
  readonly store: Store;
  readonly clock: Clock;
  readonly deviceId: DeviceId;
  readonly holder: string;
  readonly signal: AbortSignal;
  /** Hears of renewals and releases that failed; the store's fence, not the renewal, guards the data. */
  readonly onTrouble: (error: HildaError) => void;
}

/** Runs a job under a lease: waits for it, renews it while the job runs, and frees it after every outcome. */
export async function withLease<T>(options: HeldLeaseOptions, job: (lease: Lease) => Promise<T>): Promise<T> {
  const { store, onTrouble } = options;
  const lease = await acquire(options);
  const ended = new AbortController();
  const beats = keepAlive(lease, options, ended.signal);
  try {
    return await job(lease);
  } finally {
    ended.abort();
    await beats;
    await store.releaseLease(lease).catch((thrown: unknown) => onTrouble(asHildaError(thrown)));
  }
}

async function acquire({
  store,
  clock,
  deviceId,
  holder,
  ttlMs,
  retryMs,
  signal,
}: HeldLeaseOptions): Promise<Lease> {
  for (;;) {
    signal.throwIfAborted();
    const lease = await store.acquireLease(deviceId, holder, ttlMs);
    if (lease) return lease;
    await clock.sleep(retryMs, { signal });
  }
}

/** Three tries in a lease's life, so that one slow write does not lose the device. */
async function keepAlive(
  lease: Lease,
  { store, clock, ttlMs, onTrouble }: HeldLeaseOptions,
  ended: AbortSignal,
): Promise<void> {
  for (;;) {
    try {
      await clock.sleep(ttlMs / 3, { signal: ended });
    } catch {
      return;
    }
    try {
      await store.renewLease(lease, ttlMs);
    } catch (thrown) {
      const error = asHildaError(thrown);
      onTrouble(error);
      if (error.code === 'LEASE_STALE') return;
    }
  }
}
