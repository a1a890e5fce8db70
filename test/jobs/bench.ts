import type { Test } from 'tap';
import { type Clock, systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import type { Measurement } from '../../daemon/core/measurement.js';
import type { Device, Driver, Sighting, Tensors } from '../../daemon/devices/contract.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import type { JobRequest } from '../../daemon/jobs/job.js';
import { Jobs, type JobsOptions } from '../../daemon/jobs/jobs.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import type { Graph } from '../../daemon/network/graph.js';
import type { Store } from '../../daemon/store/contract.js';
import { openStore } from '../../daemon/store/open-store.js';
import { doublingNetwork } from '../contract/device-contract.js';
import { measurement, target } from '../contract/store-contract.js';

export const protocol = loadProtocol('quick');
export const network = doublingNetwork();

/** Devices that do what the test says, and note who was there. */
export class StagedDriver implements Driver {
  readonly kind = 'staged';
  readonly ids: string[];
  readonly hosts: Readonly<Record<string, string>>;
  /** Devices that are there. */
  present: ReadonlySet<string>;
  /** What measuring does. */
  measure: (id: string, signal: AbortSignal, network: Graph) => Promise<Measurement> = async () =>
    measurement;
  /** What running a network on inputs does; left out, devices cannot. */
  answer: ((id: string) => Promise<Tensors>) | undefined;
  changed: () => void = () => {};

  constructor(ids: readonly string[], hosts: Readonly<Record<string, string>> = {}) {
    this.ids = [...ids];
    this.present = new Set(ids);
    this.hosts = hosts;
  }

  async *discover(): AsyncIterable<Sighting> {
    for (const id of this.ids)
      if (this.present.has(id))
        yield {
          id: id as DeviceId,
          kind: this.kind,
          label: id,
          target,
          host: this.hosts[id] ?? null,
          obstacle: null,
        };
  }

  async open({ id }: Sighting): Promise<Device> {
    return {
      target,
      limits: { memoryBytes: null, weightBytes: null },
      measure: (network, _, { signal }) => this.measure(id, signal, network),
      ...(this.answer && { run: () => this.answer?.(id) as Promise<Tensors> }),
      close: async () => {},
    };
  }

  async watch({ onChange }: { readonly onChange: () => void }): Promise<void> {
    this.changed = onChange;
  }
}

export interface Staged {
  readonly store: Store;
  readonly pool: DevicePool;
  readonly jobs: Jobs;
  readonly driver: StagedDriver;
  readonly clock: Clock;
}

export async function openStaged(
  t: Test,
  driver: StagedDriver,
  {
    clock = systemClock,
    wrap = (store) => store,
    ...options
  }: Partial<JobsOptions> & { readonly wrap?: (store: Store) => Store } = {},
): Promise<Staged> {
  const store = wrap(await openStore({ dataDir: ':memory:', clock }));
  const pool = new DevicePool({ store, drivers: [driver], clock });
  const jobs = new Jobs({ store, pool, clock, owner: 'here', retryMs: 5, ...options });
  const { signal } = new AbortController();
  await pool.start(signal);
  for (const { id } of await pool.discover({ signal })) await pool.adopt(id);
  await jobs.start(signal);
  t.teardown(async () => {
    await jobs.stop();
    await pool.stop();
    await store.close();
  });
  return { store, pool, jobs, driver, clock };
}

/** A measurement that a test asks for. */
export const asks = (device: string, changes: Partial<JobRequest> = {}): JobRequest => ({
  work: { kind: 'measure', protocol, calibration: null, ramBytes: null },
  network: { structure: structureHash(network) },
  devices: { device: device as DeviceId },
  owner: { kind: 'person' },
  given: { network },
  ...changes,
});

/** A promise, and what fulfils it. */
export function gate(): readonly [Promise<void>, () => void] {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return [opened, open];
}

export const codeOf = (promise: Promise<unknown>): Promise<string | undefined> =>
  promise.then(
    () => undefined,
    (thrown: unknown) => (thrown instanceof HildaError ? thrown.code : String(thrown)),
  );
