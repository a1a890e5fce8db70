/**
 * Runs or resumes a study and prints each finished trial once it is committed, and again where it is caught up. Killed by
 * the test at any moment. With `leaves`, the second of two devices is away from its fifth measurement of a new study until
 * the first one has taken twenty.
 */
import { systemClock } from '../../daemon/core/clock.js';
import type { TrialRecord } from '../../daemon/store/contract.js';
import { openBench } from './bench.js';
import { LeavingDriver } from './leaving-driver.js';

// A test that gave up closes the pipe; nothing is left to report to.
process.stdout.on('error', () => process.exit(1));
const [dataDir, spec, leaves] = process.argv.slice(2) as [string, string, string?];
const driver = new LeavingDriver();
const bench = await (leaves ? openBench(dataDir, {}, () => [driver]) : openBench(dataDir));
const [existing] = await bench.studies.list();
driver.before = (id, count) => {
  if (!existing && id === 'fake-1' && count === 5) driver.leave('fake-1');
  if (!existing && id === 'fake-0' && count === 20) driver.return('fake-1');
};
const isWhole = (x: TrialRecord): boolean => x.state !== 'complete' || x.reason === null;
const printed = new Map(
  (existing ? await bench.store.trials(existing.id) : [])
    .filter((x) => x.state !== 'asked')
    .map((x) => [x.number, isWhole(x)]),
);
const study = existing
  ? existing.state === 'completed'
    ? existing
    : await bench.studies.resume(existing.id)
  : await bench.studies.create(JSON.parse(spec));
let running = true;
void bench.studies.settled(study.id).then(() => {
  running = false;
});
for (let last = false; !last; ) {
  last = !running;
  for (const trial of await bench.store.trials(study.id)) {
    const { number, state } = trial;
    if (state === 'asked' || printed.get(number) === isWhole(trial)) continue;
    const late = printed.has(number);
    printed.set(number, isWhole(trial));
    process.stdout.write(`${JSON.stringify({ number, state, late })}\n`);
  }
  if (!last) await systemClock.sleep(5);
}
await bench.close();
