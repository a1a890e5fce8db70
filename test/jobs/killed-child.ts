/**
 * A daemon's jobs over a data folder, until all of them have ended; the test kills it at any moment. Clients ask for the
 * same jobs again each time, by their keys, as scripts do that lost their connection.
 */
import { join } from 'node:path';
import { systemClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import type { JobRequest } from '../../daemon/jobs/job.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { fileBlobs } from '../../daemon/store/file-blobs.js';
import { openStore } from '../../daemon/store/open-store.js';
import { measurement } from '../contract/store-contract.js';
import { network, protocol, StagedDriver } from './bench.js';

process.stdout.on('error', () => process.exit(1));
const [dataDir, count] = process.argv.slice(2) as [string, string];
const clock = systemClock;
const store = await openStore({ dataDir, clock });
const blobs = fileBlobs(join(dataDir, 'blobs'));
const model = await blobs.put(new TextEncoder().encode('a model'));
const driver = new StagedDriver(['a', 'b', 'c']);
let measured = 0;
driver.measure = async () => {
  await clock.sleep(++measured % 7);
  return measurement;
};
const pool = new DevicePool({ store, drivers: [driver], clock });
const places = { blobs, uploads: blobs, readNetwork: async () => network };
const jobs = new Jobs({ store, pool, clock, owner: 'here', retryMs: 10, places });
const { signal } = new AbortController();
await pool.start(signal);
for (const { id } of await pool.discover({ signal })) await pool.adopt(id);
await jobs.start(signal);

/** Two in three measure, on one device or any; the others end in a failure, which is a result too. */
const request = (n: number): JobRequest => ({
  ...(n % 3 === 2
    ? { work: { kind: 'reset' } }
    : {
        work: { kind: 'measure', protocol, calibration: null, ramBytes: null },
        network: { model },
      }),
  devices: n % 2 === 0 ? { target: 'Fake 1' } : { device: 'abc'[n % 3] as DeviceId },
  owner: { kind: 'person' },
  idempotencyKey: `key-${n}`,
});
console.log('begun');
const all = await Promise.all(Array.from({ length: Number(count) }, (_, n) => jobs.submit(request(n))));
console.log('submitted');
await Promise.allSettled(all.map(({ done }) => done));
console.log('ended');
await jobs.stop();
await pool.stop();
await store.close();
