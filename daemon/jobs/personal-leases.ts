import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Lease, Store } from '../store/contract.js';
import { ExpiringLeases } from './expiring-leases.js';
import type { Jobs } from './jobs.js';
import type { Selector } from './selector.js';

export interface LeaseRequest {
  readonly devices: Selector;
  /** Shown wherever the device is shown. */
  readonly name: string;
  readonly ttlMs: number;
  /** Whether to wait in line, as jobs do. */
  readonly wait: boolean;
}

export interface PersonalLeasesOptions {
  readonly store: Store;
  readonly jobs: Pick<Jobs, 'run' | 'devicesOf'>;
  readonly clock: Clock;
}

const prefix = 'lease:';

/** Devices that people and scripts hold for themselves: no job runs there until the lease is released or has run out. */
export class PersonalLeases {
  readonly #store: Store;
  readonly #jobs: Pick<Jobs, 'run' | 'devicesOf'>;
  readonly #expiring: ExpiringLeases;

  constructor({ store, jobs, clock }: PersonalLeasesOptions) {
    this.#store = store;
    this.#jobs = jobs;
    this.#expiring = new ExpiringLeases({ store, clock, prefix });
  }

  /** Frees leases as they run out, those of a former daemon too. */
  start(): void {
    this.#expiring.start();
  }

  stop(): Promise<void> {
    return this.#expiring.stop();
  }

  /** Throws DEVICE_UNKNOWN, and LEASE_DENIED where every device is in use and the caller does not wait. */
  async acquire(
    { devices, name, ttlMs, wait }: LeaseRequest,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Lease> {
    const holder = prefix + name;
    if (!wait) {
      const ids = await this.#jobs.devicesOf(devices);
      const held = new Set((await this.#store.leases()).map(({ deviceId }) => deviceId));
      for (const id of ids.filter((one) => !held.has(one))) {
        const lease = await this.#store.acquireLease(id, holder, ttlMs);
        if (lease) {
          this.#expiring.changed();
          return lease;
        }
      }
      throw new HildaError('LEASE_DENIED', `${ids.join(', ')}: in use`, {
        hint: 'Wait for it with --wait, or choose another device.',
      });
    }
    const { job } = await this.#jobs.run(
      { work: { kind: 'lease', holder, ttlMs }, devices, owner: { kind: 'person' }, attached: true },
      { signal },
    );
    const { deviceId, token } = job.result as { readonly deviceId: DeviceId; readonly token: number };
    this.#expiring.changed();
    // A short one may have run out already.
    return { deviceId, holder, token, expiresMs: (job.endedMs ?? 0) + ttlMs };
  }

  async renew(
    deviceId: DeviceId,
    { token, ttlMs }: { readonly token: number; readonly ttlMs: number },
  ): Promise<Lease> {
    const lease = await this.#store.renewLease(await this.#present(deviceId, token), ttlMs);
    this.#expiring.changed();
    return lease;
  }

  /** Answers with the lease that ended. */
  async release(deviceId: DeviceId, { token }: { readonly token: number }): Promise<Lease> {
    const lease = await this.#present(deviceId, token);
    await this.#store.releaseLease(lease);
    return lease;
  }

  /** Those of people and scripts, not of jobs. */
  async list(): Promise<Lease[]> {
    return (await this.#store.leases()).filter(({ holder }) => holder.startsWith(prefix));
  }

  /** Throws LEASE_STALE where the lease was released or has run out. */
  async #present(deviceId: DeviceId, token: number): Promise<Lease> {
    const lease = (await this.list()).find((one) => one.deviceId === deviceId && one.token === token);
    if (lease) return lease;
    throw new HildaError('LEASE_STALE', `the lease ${token} of ${deviceId} was released or has run out`, {
      hint: 'Acquire it anew: `hilda lease acquire`.',
      details: { deviceId, token },
    });
  }
}
