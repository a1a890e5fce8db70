import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Clock, systemClock } from '../../daemon/core/clock.js';
import type { Driver } from '../../daemon/devices/contract.js';
import { FakeDriver, type FakeDriverOptions } from '../../daemon/devices/fake/driver.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import type { Store } from '../../daemon/store/contract.js';
import { openStore } from '../../daemon/store/open-store.js';
import { StudyService } from '../../daemon/study/service.js';

export interface Bench {
  readonly store: Store;
  readonly studies: StudyService;
  readonly pool: DevicePool;
  readonly jobs: Jobs;
  readonly clock: Clock;
  close(): Promise<void>;
}

export const profilesDir = fileURLToPath(new URL('../../../profiles', import.meta.url));
const scorer = fileURLToPath(new URL('./score-command.js', import.meta.url));

/**
 * A real store, pool and study service over fake devices, whose noise depends on the network alone, so that runs can be
 * compared; or over the drivers that `withDrivers` makes, whose devices are adopted where nothing stands in the way.
 * `around` may stand between the store and those who use it.
 */
export async function openBench(
  dataDir: string,
  device: FakeDriverOptions = {},
  withDrivers: (store: Store) => readonly Driver[] = () => [new FakeDriver(device)],
  around: (store: Store) => Store = (store) => store,
): Promise<Bench> {
  const clock = systemClock;
  const store = around(await openStore({ dataDir, clock }));
  const pool = new DevicePool({ store, drivers: withDrivers(store), clock });
  const jobs = new Jobs({ store, pool, clock, retryMs: 10 });
  const { signal } = new AbortController();
  await pool.start(signal);
  await jobs.start(signal);
  for (const { id, obstacle } of await pool.discover({ signal })) if (obstacle === null) await pool.adopt(id);
  const studies = new StudyService({ store, pool, jobs, clock, profilesDir });
  await studies.start();
  return {
    store,
    studies,
    pool,
    jobs,
    clock,
    async close() {
      await studies.stop();
      await jobs.stop();
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

/** 81 architectures, each scored by a table: no trial costs a process. */
export const smallSpace = {
  kind: 'mbconv',
  id: 'two-layers',
  input: [1, 16, 16],
  classes: 4,
  stem: { width: 4, kernel: 3, stride: 1 },
  firstWidth: 4,
  stages: [
    { width: 8, layers: 1, stride: 2 },
    { width: 8, layers: 1, stride: 1 },
  ],
  kernels: [3, 5, 7],
  expansions: [1, 3, 6],
  skip: false,
  headWidth: 16,
};

/** Accuracy grows with kernels and expansions, so that devices decide which of them is worth its time. */
export async function smallSpec(dir: string, changes: object): Promise<Record<string, unknown>> {
  const file = join(dir, 'table.json');
  const rows = Array.from({ length: 81 }, (_, code) => {
    const architecture = [Math.floor(code / 9), code % 9];
    const worth = architecture.map((choice) => 0.03 * Math.floor(choice / 3) + 0.015 * (choice % 3));
    return { architecture, values: { accuracy: 0.6 + (worth[0] as number) + (worth[1] as number) } };
  });
  await writeFile(file, JSON.stringify(rows));
  return testSpec({ space: smallSpace, evaluator: { kind: 'table', file, source: 'a formula' }, ...changes });
}
