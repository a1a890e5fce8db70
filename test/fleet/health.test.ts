import t, { type Test } from 'tap';
import { type Clock, ManualClock, systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { DeviceId, JobId } from '../../daemon/core/ids.js';
import type { Measurement } from '../../daemon/core/measurement.js';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import { OnnxRuntimeDriver } from '../../daemon/devices/onnxruntime/driver.js';
import { AvailabilityLog, availabilityOf, lastDayMs } from '../../daemon/fleet/health/availability.js';
import { conditionsOf } from '../../daemon/fleet/health/conditions.js';
import { controlChart } from '../../daemon/fleet/health/control-chart.js';
import { deviceHealth } from '../../daemon/fleet/health/device-health.js';
import { judgeSelfTest, selfTestInputs } from '../../daemon/fleet/health/self-test.js';
import { HealthChecks } from '../../daemon/jobs/health-checks.js';
import { referenceNetworks } from '../../daemon/measure/references.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import { floatTensor, type Graph, type Tensor } from '../../daemon/network/graph.js';
import { openStore } from '../../daemon/store/open-store.js';
import { measurement, target } from '../contract/store-samples.js';
import { asks, codeOf, openStaged, StagedDriver } from '../jobs/bench.js';
import { until } from '../until.js';

const a = 'a' as DeviceId;
const name = 'nightly';

t.test(
  'limits hold the stated share of an undisturbed device, and a broken one does not widen them',
  async (t) => {
    const rng = Xoshiro128.fromSeed(5);
    let [outside, judged] = [0, 0];
    for (let device = 0; device < 300; device++) {
      const { standings, falseAlarmRate } = controlChart(
        Array.from({ length: 120 }, () => 500 * Math.exp(0.03 * gaussian(rng))),
      );
      t.equal(falseAlarmRate, 0.0027);
      judged += standings.filter((one) => one !== 'learning').length;
      outside += standings.filter((one) => one === 'outside').length;
    }
    const rate = outside / judged;
    t.ok(rate > 0.0027 / 3 && rate < 0.0027 * 1.5, `${outside} of ${judged} false alarms`);
    const usual = Array.from({ length: 40 }, () => 500 * Math.exp(0.03 * gaussian(rng)));
    const before = controlChart(usual).limits;
    const broken = controlChart([...usual, ...Array<number>(20).fill(800)]);
    t.same(broken.limits, before, 'what lies outside teaches nothing');
    t.same(broken.standings.slice(-20), Array(20).fill('outside'));
    t.equal(controlChart(usual.slice(0, 11)).limits, null, 'too few');
    const counted = controlChart([
      ...Array<number>(12).fill(1_000_000),
      1_002_000,
      1_000_000,
      998_000,
      1_030_000,
    ]);
    t.same(
      counted.standings.slice(12),
      ['inside', 'inside', 'inside', 'outside'],
      'equal values have a width, too',
    );
  },
);

t.test('temperature and clock are read from the manifests of each kind of device', async (t) => {
  const host = { temperatureMilliC: 41_500, frequencyKhz: 2_400_000 };
  t.same(conditionsOf({ before: { ...host, frequencyKhz: null }, after: host }), {
    celsius: 41.5,
    clockHz: 2.4e9,
  });
  t.same(
    conditionsOf({ before: host, after: { gpu: { celsius: 60, smClockMHz: 1500 }, temperatureMilliC: 3 } }),
    {
      celsius: 60,
      clockHz: 1.5e9,
    },
  );
  const phone = {
    zones: [{ celsius: 38 }, { celsius: null }, { celsius: 44 }],
    coreKhz: [1_800_000, 2_800_000],
  };
  t.same(conditionsOf({ before: phone }), { celsius: 44, clockHz: 2.8e9 });
  t.same(conditionsOf({ before: { zones: [], batteryCelsius: 31 } }), { celsius: 31, clockHz: null });
  t.same(conditionsOf({ clockHz: 125_000_000 }), { celsius: null, clockHz: 125_000_000 });
  for (const strange of [
    {},
    { before: 7, after: [1] },
    { before: { gpu: 'x', zones: 'y', coreKhz: [null] } },
  ])
    t.same(conditionsOf(strange as never), { celsius: null, clockHz: null });
});

t.test('the self test holds on this host, and a wrong kernel fails it', async (t) => {
  const { signal } = new AbortController();
  const driver = new OnnxRuntimeDriver();
  for await (const sighting of driver.discover({ signal })) {
    if (sighting.target.provider !== 'cpu') continue;
    const device = await driver.open(sighting, { signal });
    t.teardown(() => device.close());
    const answer = (network: Graph) => device.run?.(network, selfTestInputs(), { signal }) as Promise<never>;
    const right = referenceNetworks().convolution;
    t.equal(judgeSelfTest(await answer(right), target), null);
    const kernels = right.nodes.filter(({ op }) => op === 'Conv' || op === 'Gemm');
    t.equal(kernels.length, 11);
    for (const { inputs } of kernels) {
      const weights = inputs[1] as string;
      const known = right.initializers.get(weights) as Tensor;
      const wrong = floatTensor(
        known.dims,
        new Float32Array(known.data.slice().buffer).map((weight) => weight * 1.25),
      );
      const initializers = new Map([...right.initializers, [weights, wrong]]);
      t.match(
        judgeSelfTest(await answer({ ...right, initializers }), target),
        /^number \d of its answer/,
        weights,
      );
    }
    break;
  }
  t.match(judgeSelfTest({}, target), /answers 0 numbers/);
  t.match(
    judgeSelfTest({ y: { dims: [10], data: new Float32Array(10).fill(Number.NaN) } }, target),
    /is NaN/,
  );
});

/** Days pass when they are told to; the waits of jobs are real. */
class Calendar implements Clock {
  #nowMs = 1_700_000_000_000;
  readonly monotonicUs = systemClock.monotonicUs;
  readonly sleep = systemClock.sleep;
  nowMs = (): number => this.#nowMs;
  advance = (ms: number): void => {
    this.#nowMs += ms;
  };
}

/** A device whose references take what the test says, in microseconds. */
async function bench(t: Test) {
  const clock = new Calendar();
  const driver = new StagedDriver(['a', 'b']);
  const rng = Xoshiro128.fromSeed(9);
  const state = { factor: 1, verdict: 'valid' as Measurement['verdict'], error: null as HildaError | null };
  driver.measure = async (_, __, network) => {
    if (state.error) throw state.error;
    const us =
      (network.name.startsWith('convolution') ? 500 : 400) * state.factor * Math.exp(0.01 * gaussian(rng));
    const latency = measurement.latency as NonNullable<Measurement['latency']>;
    return {
      ...measurement,
      provenance: 'emulated',
      structureHash: structureHash(network),
      verdict: state.verdict,
      reason: 'told to',
      latency: { ...latency, rawUs: { ...latency.rawUs, median: us } },
      manifest: { after: { temperatureMilliC: 45_000, frequencyKhz: 1_000_000 } },
      takenAtMs: clock.nowMs(),
    };
  };
  const staged = await openStaged(t, driver, { clock });
  const { store, pool, jobs } = staged;
  const checks = new HealthChecks({ store, pool, jobs });
  const { signal } = new AbortController();
  const check = async () => {
    clock.advance(1000);
    return checks.check(a, { name, signal });
  };
  return { ...staged, clock, state, check, signal };
}

t.test(
  'a reference outside its limits in three checks takes a device out of use, and checks take it back',
  async (t) => {
    const { state, check, store, jobs, pool, clock, signal } = await bench(t);
    for (let i = 0; i < 20; i++) t.match(await check(), { outcome: 'passed', why: null, followed: null });
    state.verdict = 'noisy';
    t.match(await check(), { outcome: 'unclear', why: 'noisy: told to' });
    state.verdict = 'valid';
    state.factor = 1.2;
    t.match(await check(), {
      outcome: 'failed',
      why: /its convolution reference took 6\d\d.* us, its limits/,
      followed: null,
    });
    state.factor = 1;
    await check();
    state.factor = 0.8;
    for (let i = 0; i < 2; i++)
      t.match(await check(), { outcome: 'failed', followed: null }, 'one between ends the row');
    t.match(await check(), { followed: 'quarantined' });
    const reason = /its convolution reference took .* in 3 checks in a row/;
    t.match(await store.device(a), {
      state: 'quarantined',
      reason,
      quarantine: { by: 'reference', passed: 0 },
    });
    t.match(await store.alerts({}), [
      { kind: 'quarantine', subject: 'a', deviceId: 'a', text: reason, resolvedMs: null },
    ]);
    const health = await deviceHealth(a, { store, clock });
    t.match(
      health.summary,
      /^in quarantine .*0 of 3 checks passed; convolution reference outside its limits 3 times/,
    );
    t.match(health.references[0]?.points.at(-1), { standing: 'outside', celsius: 45, clockHz: 1e9 });

    // Work of others is told at once; a job that nobody waits for stays, and says why.
    t.equal(
      await codeOf(jobs.run(asks('a', { owner: { kind: 'campaign', name: 'x' } }), { signal })),
      'STATE_CONFLICT',
    );
    t.equal(await codeOf(jobs.run(asks('a', { attached: true }), { signal })), 'STATE_CONFLICT');
    const id = (await store.jobs({ limit: 1 }))[0]?.id as JobId;
    t.equal((await store.job(id)).state, 'failed');
    const { record, done } = await jobs.submit(asks('a', { network: { model: 'f'.repeat(64) } }));
    t.match(
      (await jobs.whyWaiting([record.id])).get(record.id),
      /a is in quarantine \(its convolution.*`hilda devices release a` takes it back/,
    );
    t.match(await check(), { outcome: 'failed', followed: null });
    state.factor = 1;
    t.match(await check(), { outcome: 'passed' });
    state.error = new HildaError('DEVICE_FAILED', 'smoke');
    t.match(await check(), { outcome: 'failed', why: /smoke/ });
    state.error = null;
    for (let i = 0; i < 2; i++) t.match(await check(), { outcome: 'passed', followed: null });
    t.match((await store.device(a)).quarantine, { passed: 2 }, 'the failure ended the row');
    t.equal((await store.job(record.id)).state, 'queued');
    t.match(await check(), { outcome: 'passed', followed: 'released' });
    t.match(await store.device(a), { state: 'adopted', quarantine: null });
    t.match(await store.alerts({}), [{ resolvedMs: clock.nowMs() }]);
    await done.catch(() => {});
    t.not((await store.job(record.id)).state, 'queued', 'what waited begins');
    t.equal((await store.jobFailures(a, 0)).find(({ code }) => code === 'DEVICE_FAILED')?.count, 1);

    // By hand, it stays until a person releases it, and its former level may be forgotten.
    await pool.setAside(a, 'quarantined', 'hot');
    for (let i = 0; i < 4; i++) t.match(await check(), { outcome: 'passed', followed: null });
    state.factor = 1.5;
    await pool.release(a, { relearn: true });
    t.equal(await codeOf(pool.release(a)), 'STATE_CONFLICT');
    for (let i = 0; i < 14; i++) t.match(await check(), { outcome: 'passed', followed: null });
    t.match((await deviceHealth(a, { store, clock })).summary, /convolution reference inside its limits/);
  },
);

t.test('wrong results take a device out of use at once', async (t) => {
  const driver = new StagedDriver(['a']);
  const answer = new Float32Array(10);
  driver.answer = async () => ({ y: { dims: [1, 10], data: answer } });
  driver.measure = async (_, __, network) => ({
    ...measurement,
    provenance: 'emulated',
    structureHash: structureHash(network),
  });
  const { store, pool, jobs } = await openStaged(t, driver);
  const checks = new HealthChecks({ store, pool, jobs });
  const { signal } = new AbortController();
  t.match(await checks.check(a, { name, signal }), { outcome: 'failed', followed: 'quarantined' });
  t.match(await store.device(a), {
    reason: /its results are wrong: number 0/,
    quarantine: { by: 'results' },
  });
  t.equal(await codeOf(checks.check('nobody' as DeviceId, { name, signal })), 'DEVICE_UNKNOWN');
  driver.present = new Set();
  await pool.discover();
  t.match(await checks.check(a, { name, signal }), { outcome: 'unclear', why: /DEVICE_GONE/ });
  t.match((await store.device(a)).quarantine, { passed: 0 });
});

t.test('failures of one kind in a row count, though the device runs references in between', async (t) => {
  const { pool, store, signal, clock } = await bench(t);
  const fail = (code: 'DEVICE_FAILED' | 'MESSAGE_INVALID') =>
    codeOf(
      pool.use(a, { signal }, async () => {
        throw new HildaError(code, 'no answer');
      }),
    );
  for (let i = 0; i < 9; i++) t.equal(await fail('DEVICE_FAILED'), 'DEVICE_FAILED');
  await fail('MESSAGE_INVALID');
  for (let i = 0; i < 9; i++)
    t.equal(await fail('DEVICE_FAILED'), 'DEVICE_FAILED', 'another kind began anew');
  await pool.use(a, { signal }, async () => {});
  for (let i = 0; i < 9; i++)
    t.equal(await fail('DEVICE_FAILED'), 'DEVICE_FAILED', 'work that went well, too');
  t.equal(await fail('DEVICE_FAILED'), 'STATE_CONFLICT');
  t.match(await store.device(a), {
    state: 'quarantined',
    reason: 'failed 10 times in a row with DEVICE_FAILED: no answer',
    quarantine: { by: 'failures', sinceMs: clock.nowMs(), passed: 0 },
  });
});

t.test('availability is the share of the time in which a daemon looked', async (t) => {
  const clock = new ManualClock(1_700_000_000_000);
  const store = await openStore({ dataDir: ':memory:', clock });
  t.teardown(() => store.close());
  for (const id of ['a', 'b'] as DeviceId[]) await store.upsertDevice({ id, kind: 'x', label: 'x', target });
  const here = new Set<string>(['a', 'b']);
  const pool = { presence: (id: DeviceId) => ({ present: here.has(id), obstacle: null }) };
  const share = async (id: string) =>
    (await availabilityOf(id as DeviceId, lastDayMs, { store, clock })).share;
  t.equal(await share('a'), null, 'nobody looked yet');
  const log = new AvailabilityLog({ store, pool, clock });
  await log.start();
  const spanned = async (id: DeviceId, ms: number) =>
    until(
      async () => (await store.spans(id, 0)).reduce((sum, one) => sum + one.untilMs - one.fromMs, 0) >= ms,
      `${id} ${ms}`,
    );
  await until(async () => (await store.spans(a, -1)).length === 1, 'the first look');
  await clock.advance(60_000);
  await spanned(a, 60_000);
  here.delete('a');
  await clock.advance(60_000);
  await spanned('b' as DeviceId, 120_000);
  await log.stop();
  await clock.advance(6 * 3_600_000);
  const next = new AvailabilityLog({ store, pool, clock });
  await next.start();
  await until(async () => (await store.spans('b' as DeviceId, 0)).length === 2, 'the next daemon looks');
  await clock.advance(120_000);
  await spanned('b' as DeviceId, 240_000);
  await next.stop();
  t.same([await share('a'), await share('b')], [0.5, 1], 'the night without a daemon counts for nothing');
  await store.beginWatch(clock.nowMs() - 3_600_000);
  t.same(await store.spans(a, 0), [], 'old spans are forgotten');
});
