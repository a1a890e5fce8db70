import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import type { DeviceId, PredictorId } from '../../daemon/core/ids.js';
import type { FakeDeviceOptions } from '../../daemon/devices/fake/device.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { Campaigns } from '../../daemon/jobs/campaigns.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { PredictorService } from '../../daemon/predictors/predictor-service.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { openStore } from '../../daemon/store/open-store.js';
import { findSpace } from '../../daemon/study/parts.js';

export const profilesDir = fileURLToPath(new URL('../../../profiles', import.meta.url));
export const clock = systemClock;
export const device = 'fake-0';
export const space = loadSpace(findSpace('mbconv-fmnist', profilesDir));

const ids = [device, 'fake-1'];

export async function openService(
  t: Test,
  options: FakeDeviceOptions = {},
  driver = new FakeDriver({ ...options, ids }),
) {
  const store = await openStore({ dataDir: ':memory:', clock });
  const pool = new DevicePool({
    store,
    drivers: [driver],
    clock,
  });
  const { signal } = new AbortController();
  await pool.start(signal);
  const jobs = new Jobs({ store, pool, clock });
  await jobs.start(signal);
  await pool.discover({ signal });
  for (const id of ids) await pool.adopt(id as DeviceId);
  const campaigns = new Campaigns({ store, clock });
  const service = new PredictorService({ store, jobs, campaigns, clock, profilesDir });
  t.teardown(async () => {
    await campaigns.stop();
    await jobs.stop();
    await pool.stop();
    await store.close();
  });
  /** Waits for a campaign; the predictor it made. */
  const ended = async (id: string): Promise<PredictorId> => {
    for (;;) {
      const campaign = await service.campaign(id);
      if (campaign.state === 'failed') throw campaign.error;
      if (campaign.state === 'done' && campaign.predictorId) return campaign.predictorId;
      await clock.sleep(5, { signal });
    }
  };
  const request = { device, space: 'mbconv-fmnist', samples: 24, seed: 3, protocol: 'quick', profile: true };
  return { store, pool, jobs, campaigns, service, ended, request };
}
