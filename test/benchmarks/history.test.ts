import t from 'tap';
import { historyRoutes } from '../../daemon/api/routes/history.js';
import { historyOf, seriesKey } from '../../daemon/benchmarks/history/history.js';
import { historyPoint } from '../../daemon/benchmarks/history/history-point.js';
import { manifestDifference } from '../../daemon/benchmarks/history/manifest-difference.js';
import { ManualClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import type { Json } from '../../daemon/core/json.js';
import type { Latency, Measurement } from '../../daemon/core/measurement.js';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import { openStore } from '../../daemon/store/open-store.js';

type Taken = Omit<Measurement, 'rounds'>;

const summary = { n: 9, min: 1, median: 1, p90: 1, mad: 0, ciLow: 1, ciHigh: 1 };
/** `referenceUs`: the level of the references beside the network. */
function latency(us: number, referenceUs = 500): Latency {
  return {
    rawUs: { ...summary, median: us },
    ratio: { ...summary, median: us / referenceUs },
    normalisedUs: us,
    normalisedCiUs: [us * Math.exp(-0.0196), us * Math.exp(0.0196)],
    reference: 'convolution',
    loadUs: null,
    firstRunUs: null,
  };
}
const measurement = (
  us: number,
  manifest: { readonly [key: string]: Json } = {},
  more: Partial<Taken> = {},
): Taken => ({
  target: {
    model: 'board',
    clockHz: null,
    runtime: 'r',
    runtimeVersion: '1',
    provider: 'cpu',
    threads: 1,
    dtype: 'float32',
    tier: 'host',
  },
  provenance: 'measured',
  protocol: 'search',
  structureHash: 'a'.repeat(64),
  weightsHash: 'b'.repeat(64),
  latency: latency(us),
  counts: null,
  memory: { weightBytes: 10, activationPeakBytes: 20, peakBytes: 30, runPeakRssBytes: null },
  verdict: 'valid',
  reason: '',
  manifest,
  takenAtMs: 0,
  durationMs: 1,
  ...more,
});

t.test('a measurement is a point with its interval and its reference', (t) => {
  const point = historyPoint(measurement(200), 'latencyUs');
  t.match(point, { value: 200 });
  t.equal(point?.standardError?.toFixed(4), '0.0100');
  t.equal(point?.reference?.toFixed(3), '500.000');
  t.same(historyPoint(measurement(200), 'peakBytes'), { value: 30 });
  t.equal(historyPoint(measurement(200), 'cycles'), undefined);
  t.equal(historyPoint(measurement(200, {}, { verdict: 'noisy' }), 'latencyUs'), undefined);
  const alone = measurement(200, {}, { latency: { ...latency(200), reference: 'none' } });
  t.equal(historyPoint(alone, 'latencyUs')?.reference, undefined);
  t.end();
});

t.test('manifests differ in facts, and in numbers whose ranges are apart', (t) => {
  const before = [40, 44, 41, 43].map((celsius) => ({ kernel: '6.1', load: celsius, at: { celsius } }));
  const since = [70, 73, 71, 75].map((celsius, i) => ({
    kernel: '6.2',
    load: 42 + i,
    at: { celsius },
    driver: 'x',
  }));
  t.same(manifestDifference(before, since), [
    { path: 'at.celsius', before: '40 to 44', since: '70 to 75' },
    { path: 'driver', before: 'absent', since: 'x' },
    { path: 'kernel', before: '6.1', since: '6.2' },
  ]);
  t.same(manifestDifference(before, before), []);
  t.same(manifestDifference([], since), []);
  t.same(manifestDifference([{ list: [1, 2] }], [{ list: [1, 3] }]), [
    { path: 'list', before: '[1,2]', since: '[1,3]' },
  ]);
  t.same(
    manifestDifference([{ load: 1 }, { load: 2 }], [{ load: 8 }, { load: 9 }]),
    [],
    'two numbers are chance',
  );
  t.end();
});

t.test('a slower runtime is found and named; measurements that are not valid hold no place', (t) => {
  const rng = Xoshiro128.fromSeed(17);
  const taken = Array.from({ length: 80 }, (_, at) => {
    const slower = at >= 60 ? 1.04 : 1;
    const invalid = at % 10 === 9;
    return measurement(
      (invalid ? 3000 : 1000) * slower * (1 + 0.006 * gaussian(rng)),
      { runtime: at >= 60 ? '1.31' : '1.30', load: rng.next() },
      invalid ? { verdict: 'contended' } : {},
    );
  });
  const { points, changes, suspicion } = historyOf(taken, 'latencyUs');
  t.equal(points.length, 72);
  t.equal(suspicion, null);
  t.equal(changes.length, 1);
  const [change] = changes;
  t.equal(change?.since, 54);
  t.ok((change?.foundAt as number) <= 60);
  t.ok(change && change.ratioCi[0] <= 1.04 && change.ratioCi[1] >= 1.04);
  t.equal(change?.firstSince, taken[60]);
  t.same(change?.differences, [{ path: 'runtime', before: '1.30', since: '1.31' }]);
  t.same(historyOf(taken, 'peakBytes').changes, [], 'memory is constant');
  const newer = { ...(taken[0] as Taken), target: { ...(taken[0] as Taken).target, runtimeVersion: '2' } };
  const same = (a: Taken, b: Taken): boolean => seriesKey(a) === seriesKey(b);
  t.ok(same(taken[0] as Taken, newer), 'another version is what a history shows');
  for (const other of [
    { ...newer, structureHash: 'c'.repeat(64) },
    { ...newer, provenance: 'imported' as const },
    { ...newer, target: { ...newer.target, dtype: 'int8' as const } },
    { ...newer, target: { ...newer.target, batch: 4 } },
  ])
    t.notOk(same(newer, other));
  t.same(historyOf([], 'latencyUs'), { points: [], changes: [], suspicion: null });
  t.end();
});

t.test('a history that was found is found again until another measurement joins it', async (t) => {
  const store = await openStore({ dataDir: ':memory:', clock: new ManualClock(1000) });
  t.teardown(() => store.close());
  const { target } = measurement(1);
  const ids = ['a', 'b'] as DeviceId[];
  await store.upsertDevices(ids.map((id) => ({ id, kind: 'board', label: id, target })));
  const add = async (deviceId: DeviceId, us: number): Promise<void> => {
    const lease = await store.acquireLease(deviceId, 'the test', 1000);
    if (!lease) throw new Error('no lease');
    await store.addMeasurement({ ...measurement(us), rounds: [] }, { deviceId, lease });
    await store.releaseLease(lease);
  };
  const valuesOf = async (id: string, limit = 400): Promise<number[]> => {
    const [route] = historyRoutes;
    const given = { services: { store }, params: { id }, query: { metric: 'latencyUs', limit } };
    if (!route) throw new Error('no route');
    const { points } = (await route.handle(given as never)) as { points: { value: number }[] };
    return points.map(({ value }) => value);
  };
  await add('a' as DeviceId, 100);
  await add('b' as DeviceId, 500);
  await add('a' as DeviceId, 101);
  t.same(await valuesOf('m1'), [100, 101]);
  t.same(await valuesOf('m3'), [100, 101], 'any of its measurements names it');
  t.same(await valuesOf('m2'), [500]);
  t.same(await valuesOf('m1', 1), [101], 'a shorter one is another');
  await add('a' as DeviceId, 102);
  t.same(await valuesOf('m1'), [100, 101, 102]);
  t.same(await valuesOf('m2'), [500]);
});
