import t, { type Test } from 'tap';
import { SeriesWatcher } from '../../daemon/benchmarks/alerts/series-watcher.js';
import { ManualClock } from '../../daemon/core/clock.js';
import type { AlertId, DeviceId } from '../../daemon/core/ids.js';
import type { Measurement } from '../../daemon/core/measurement.js';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import type { Store } from '../../daemon/store/contract.js';
import { openStore } from '../../daemon/store/open-store.js';
import { deviceId, measurement, target } from '../contract/store-samples.js';
import { until } from '../until.js';

const clock = new ManualClock(1_000_000);

async function storeOf(t: Test): Promise<Store> {
  const store = await openStore({ dataDir: ':memory:', clock });
  t.teardown(() => store.close());
  for (const id of [deviceId, 'fake-2' as DeviceId])
    await store.upsertDevice({ id, kind: 'fake', label: 'x', target });
  return store;
}
/** A latency beside a reference that stays the same; `change` goes over all of it. */
function taken(us: number, change: Partial<Measurement> = {}): Measurement {
  const { latency } = measurement;
  if (!latency) throw new Error('the sample has a latency');
  return {
    ...measurement,
    latency: {
      ...latency,
      normalisedUs: us,
      normalisedCiUs: [us * 0.99, us * 1.01],
      rawUs: { ...latency.rawUs, median: us },
      ratio: { ...latency.ratio, median: us / 500 },
    },
    ...change,
  };
}

async function add(store: Store, measurements: readonly Measurement[], device = deviceId): Promise<void> {
  const lease = await store.acquireLease(device, 'a', 1e9);
  if (!lease) throw new Error('the device is free');
  for (const one of measurements) await store.addMeasurement(one, { deviceId: device, lease });
}

t.test('a slower kernel raises one alert, which names it; a restart repeats nothing', async (t) => {
  const store = await storeOf(t);
  const rng = Xoshiro128.fromSeed(3);
  const series = (n: number, level: number, kernel: string): Measurement[] =>
    Array.from({ length: n }, () => taken(level * (1 + 0.006 * gaussian(rng)), { manifest: { kernel } }));
  const watcher = new SeriesWatcher({ store, clock });
  await add(store, series(30, 1000, '6.1'));
  // Networks that are measured once, invalid values and other devices change nothing.
  await add(store, [taken(9000, { structureHash: 'c'.repeat(64) }), taken(9000, { verdict: 'noisy' })]);
  await add(store, series(12, 3000, '6.2'), 'fake-2' as DeviceId);
  t.same(await watcher.catchUp(), []);
  await add(store, series(2, 1040, '6.2'));
  t.same(await watcher.catchUp(), []);
  await add(store, series(8, 1040, '6.2'));
  // Another process goes on: it builds the series from the store.
  const next = new SeriesWatcher({ store, clock });
  const [alert, ...others] = await next.catchUp();
  t.same(others, []);
  t.match(alert, {
    deviceId,
    metric: 'latencyUs',
    cause: 'series',
    differences: [{ path: 'kernel', before: '6.1', since: '6.2' }],
  });
  t.ok(alert && alert.ratioCi[0] <= 1.04 && alert.ratioCi[1] >= 1.04, `${alert?.ratioCi}`);
  await add(store, series(20, 1040, '6.2'));
  t.same(await new SeriesWatcher({ store, clock }).catchUp(), [], 'one change, one alert');
  t.same(await next.catchUp(), []);
  t.equal(await store.alertCount({}), 1);
});

t.test('what is counted without error changes at once, and goes back', async (t) => {
  const store = await storeOf(t);
  const counted = (cycles: number, firmwareBuild: string): Measurement => ({
    ...measurement,
    provenance: 'emulated',
    latency: null,
    counts: {
      total: cycles,
      unit: 'cycles',
      operators: [],
      firmwareBuild,
      totalCi: null,
      peakRamBytes: 9,
      flashBytes: 9,
    } as never,
  });
  const watcher = new SeriesWatcher({ store, clock });
  await add(store, [counted(1000, 'a'), counted(1000, 'a'), counted(1001, 'a')]);
  t.same(await watcher.catchUp(), [], 'two thousandths and more count');
  await add(store, [counted(1030, 'b')]);
  t.match(await watcher.catchUp(), [
    {
      metric: 'cycles',
      ratio: 1.03,
      ratioCi: [1.03, 1.03],
      between: ['m4', 'm4'],
      differences: [{ path: 'firmwareBuild', before: 'a', since: 'b' }],
    },
  ]);
  await add(store, [counted(1030, 'b'), counted(1000, 'a')]);
  t.same(await watcher.catchUp(), []);
  t.match(await store.alert('alert-1' as AlertId), { returnedAt: 'm6' });
  await add(store, [counted(900, 'c')]);
  t.match(await new SeriesWatcher({ store, clock }).catchUp(), [{ ratio: 0.9, since: 'm7' }]);
});

t.test('it looks by itself after measurements, and again after a failure of the store', async (t) => {
  const store = await storeOf(t);
  const faults: string[] = [];
  let failures = 1;
  const failing: Store = {
    ...store,
    measuredAfter: async (...args) => {
      if (failures-- > 0) throw new Error('no');
      return store.measuredAfter(...args);
    },
  };
  const watcher = new SeriesWatcher({
    store: failing,
    clock,
    onError: ({ message }) => faults.push(message),
  });
  watcher.start();
  const peaks = (peakBytes: number): Measurement => ({
    ...measurement,
    latency: null,
    memory: { weightBytes: 1, activationPeakBytes: 1, peakBytes, runPeakRssBytes: null },
  });
  await add(store, [peaks(100), peaks(120)]);
  await until(async () => {
    await clock.advance(1000);
    return (await store.alertCount({ deviceId })) === 1;
  }, 'an alert is raised');
  t.same(faults, ['no']);
  t.equal(await store.watchedUpTo(), 2);
  await watcher.stop();
});
