import { fileURLToPath } from 'node:url';
import { type Clock, systemClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { FakeDriver, type FakeDriverOptions } from '../../daemon/devices/fake/driver.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import type { Store } from '../../daemon/store/contract.js';
import { openStore } from '../../daemon/store/open-store.js';
import { StudyService } from '../../daemon/study/service.js';

export interface Bench {
  readonly store: Store;
  readonly studies: StudyService;
  readonly pool: DevicePool;
  readonly clock: Clock;
  close(): Promise<void>;
}

const profilesDir = fileURLToPath(new URL('../../../profiles', import.meta.url));
const scorer = fileURLToPath(new URL('./score-command.js', import.meta.url));

/** A real store, pool and study service over one fake device, whose noise depends on the network alone, so that runs can be compared. */
export async function openBench(dataDir: string, device: FakeDriverOptions = {}): Promise<Bench> {
  const clock = systemClock;
  const store = await openStore({ dataDir, clock });
  const pool = new DevicePool({ store, drivers: [new FakeDriver(device)], clock });
  const { signal } = new AbortController();
  await pool.start(signal);
  await pool.discover({ signal });
  for (const id of device.ids ?? ['fake-0']) await pool.adopt(id as DeviceId);
  const studies = new StudyService({ store, pool, clock, profilesDir });
  await studies.start();
  return {
    store,
    studies,
    pool,
    clock,
    async close() {
      await studies.stop();
      await pool.stop();
      await store.close();
    },
  };
}

/** Twenty-four trials of the shipped space; the accuracy is a formula, computed by a command as a user's would be. */
export const testSpec = (changes: object = {}): Record<string, unknown> => ({
  name: 'test',
  space: 'mbconv-fmnist',
  sampler: { name: 'random' },
  evaluator: { kind: 'command', command: [process.execPath, scorer] },
  devices: ['fake-0'],
  protocol: 'quick',
  budget: { trials: 24 },
  batch: 6,
  seed: 7,
  ...changes,
});
