/**
 * A daemon's jobs over a data folder, until all of them have ended; the test kills it at any moment. Clients ask for the
 * same jobs again each time, by their keys, as scripts do that lost their connection. A runtime session, an evaluator with a
 * child of its own and, where QEMU is, an emulated board run meanwhile: they must end with the daemon.
 */
import { join } from 'node:path';
import type { Architecture } from '../../daemon/core/architecture.js';
import { systemClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { CommandEvaluator } from '../../daemon/evaluate/command.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import type { JobRequest } from '../../daemon/jobs/job.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { profilesDir } from '../../daemon/process/installation.js';
import { readHere } from '../../daemon/reading/read-here.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { fileBlobs } from '../../daemon/store/file-blobs.js';
import { openStore } from '../../daemon/store/open-store.js';
import { findQemu, startQemu } from '../../firmware-bridge/emulator/qemu-board.js';
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
const places = { blobs, uploads: blobs, readNetwork: async () => network, reading: readHere };
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
  // On a slow machine one job is hit by many blows, none of which is its fault.
  maxAttempts: 1000,
  idempotencyKey: `key-${n}`,
});
const session = new SessionProcess({ environment: { HOME: process.env.HOME ?? '' } });
const evaluator = new CommandEvaluator({
  command: ['sh', '-c', 'sleep 600 & sleep 600'],
  timeoutMs: 600_000,
  metrics: ['accuracy'],
});
const companions = new AbortController();
const beside = [
  session.describe(),
  evaluator.evaluate({} as Architecture, { signal: companions.signal }),
  ...(findQemu() ? [startBoard(companions.signal)] : []),
].map((one) => one.catch(() => undefined));

/** An emulated board until the signal aborts. */
async function startBoard(signal: AbortSignal): Promise<void> {
  const imagePath = join(profilesDir, 'firmware', 'mps2-an386.bin');
  const board = await startQemu({ machine: 'mps2-an386', imagePath, signal });
  await clock.sleep(600_000, { signal }).catch(() => {});
  await board.close();
}

console.log('begun');
const all = await Promise.all(Array.from({ length: Number(count) }, (_, n) => jobs.submit(request(n))));
console.log('submitted');
await Promise.allSettled(all.map(({ done }) => done));
console.log('ended');
companions.abort();
await session.stop();
await Promise.all(beside);
await jobs.stop();
await pool.stop();
await store.close();
