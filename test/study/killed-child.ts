/** Runs or resumes a study and prints each finished trial once it is committed. Killed by the test at any moment. */
import { systemClock } from '../../daemon/core/clock.js';
import { openBench } from './bench.js';

// A test that gave up closes the pipe; nothing is left to report to.
process.stdout.on('error', () => process.exit(1));
const [dataDir, spec] = process.argv.slice(2) as [string, string];
const bench = await openBench(dataDir);
const [existing] = await bench.studies.list();
const printed = new Set(
  (existing ? await bench.store.trials(existing.id) : [])
    .filter((x) => x.state !== 'asked')
    .map((x) => x.number),
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
    if (trial.state === 'asked' || printed.has(trial.number)) continue;
    printed.add(trial.number);
    process.stdout.write(`${JSON.stringify({ number: trial.number, state: trial.state })}\n`);
  }
  if (!last) await systemClock.sleep(5);
}
await bench.close();
