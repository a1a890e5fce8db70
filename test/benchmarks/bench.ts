import { BenchmarkRuns } from '../../daemon/benchmarks/runs/benchmark-runs.js';
import { type Suite, suiteSchema } from '../../daemon/benchmarks/suites/suite.js';
import type { Clock } from '../../daemon/core/clock.js';
import { sha256Hex } from '../../daemon/core/hash.js';
import type { BlobId, DeviceId } from '../../daemon/core/ids.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { Campaigns } from '../../daemon/jobs/campaigns.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { readHere } from '../../daemon/reading/read-here.js';
import type { BlobStore } from '../../daemon/store/contract.js';
import { openStore } from '../../daemon/store/open-store.js';
import { network, type StagedDriver } from '../jobs/bench.js';

/** Any bytes are the same network here. */
export const models: BlobStore = {
  put: async (bytes) => sha256Hex(bytes) as BlobId,
  get: async () => new Uint8Array([1]),
  has: async (id) => id !== '0'.repeat(64),
};

export const suite = (more: object = {}): Suite =>
  suiteSchema.parse({
    suite: 'nightly',
    networks: [
      { model: 'a'.repeat(64), name: 'first' },
      { model: 'b'.repeat(64), name: 'second' },
    ],
    devices: ['a', 'b'],
    protocol: 'quick',
    ...more,
  });

/** The part of a daemon that runs suites, over a data folder or in memory. */
export async function openRuns(driver: StagedDriver, clock: Clock, dataDir = ':memory:') {
  const store = await openStore({ dataDir, clock });
  const pool = new DevicePool({ store, drivers: [driver], clock });
  const places = { blobs: models, uploads: models, readNetwork: async () => network, reading: readHere };
  const jobs = new Jobs({ store, pool, clock, places, owner: 'here', retryMs: 5 });
  const { signal } = new AbortController();
  await pool.start(signal);
  for (const { id } of await pool.discover({ signal })) await pool.adopt(id as DeviceId);
  await jobs.start(signal);
  const campaigns = new Campaigns({ store, clock });
  const sources = {
    winner: async () => new Uint8Array([7]),
    samples: async ({ samples, seed }: { readonly samples: number; readonly seed: number }) =>
      Array.from({ length: samples }, (_, i) => new Uint8Array([seed, i])),
  };
  const runs = new BenchmarkRuns({ store, jobs, campaigns, clock, blobs: models, sources });
  const stop = async (): Promise<void> => {
    await campaigns.stop();
    await jobs.stop();
    await pool.stop();
    await store.close();
  };
  return { store, pool, jobs, campaigns, runs, stop };
}
