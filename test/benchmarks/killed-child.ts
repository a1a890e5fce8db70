/** A daemon that runs a suite over a data folder, until the run has ended; the test kills it at any moment. */
import { systemClock } from '../../daemon/core/clock.js';
import { measurement } from '../contract/store-contract.js';
import { StagedDriver } from '../jobs/bench.js';
import { openRuns, suite } from './bench.js';

process.stdout.on('error', () => process.exit(1));
const [dataDir] = process.argv.slice(2) as [string];
const driver = new StagedDriver(['a', 'b']);
driver.measure = async () => {
  process.stdout.write('measured\n');
  await systemClock.sleep(5);
  return measurement;
};
const { store, campaigns, runs, stop } = await openRuns(driver, systemClock, dataDir);
await campaigns.start();
const [known] = await store.benchmarkRuns();
const { id } = known ?? (await runs.start(suite({ repeats: 12 })));
const { state } = await runs.finished(id);
process.stdout.write(`ended ${state}\n`);
await stop();
