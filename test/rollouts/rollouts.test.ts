import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { HildaError } from '../../daemon/core/errors.js';
import type { Measurement } from '../../daemon/core/measurement.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { brokenPromise } from '../../daemon/rollouts/promises.js';
import { planWaves } from '../../daemon/rollouts/waves.js';
import { measurement } from '../contract/store-samples.js';
import { codeOf } from '../jobs/bench.js';
import { until } from '../until.js';
import { asRead, openWorld, versionOf, weightsOf } from './bench.js';
import { type Fault, FlashDriver, type FlashDriverOptions, flashOf, programCrc } from './flash-driver.js';

t.setTimeout(600_000);
const [first, second] = [versionOf(2), versionOf(3)];
const [crc1, crc2] = [programCrc(asRead(first)), programCrc(asRead(second))];
const idsOf = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `fake-${String(i).padStart(3, '0')}`);

async function openFleet(
  t: Test,
  count: number,
  faults: Readonly<Record<string, Fault>> = {},
  more: Partial<FlashDriverOptions> = {},
) {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-flash-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const ids = idsOf(count);
  const options = { folder, ids, faults, goodWeights: weightsOf(first), ...more };
  const drivers: FlashDriver[] = [];
  const world = await openWorld(t, () => {
    drivers.push(new FlashDriver(options));
    return drivers.at(-1) as FlashDriver;
  });
  await world.measureOn(ids[0] as string, first);
  const [model1, model2] = [await world.upload(first), await world.upload(second)];
  return {
    ...world,
    world,
    ids,
    model1,
    model2,
    flash: (id: string) => flashOf(folder, id),
    driver: () => drivers.at(-1) as FlashDriver,
    begin: (model: string, spec: object = {}) =>
      world.rollouts.begin({ name: 'keyword', model, devices: 'target=fake', ...spec }),
  };
}

t.test('waves: counts, shares, what is left; no wave without a device, none too large', async (t) => {
  t.same(planWaves(undefined, 200), [1, 20, 179]);
  t.same(planWaves(undefined, 1), [1]);
  t.same(planWaves(undefined, 3), [1, 1, 1]);
  t.same(planWaves([2, '50%'], 10), [2, 5, 3]);
  t.same(planWaves(['33.3%', '66.7%'], 10), [4, 6], 'rounded up, and never more than there are');
  t.same(planWaves([10], 10), [10]);
  for (const [waves, what] of [
    [[0], 'no device'],
    [[-1], 'no device'],
    [['0%'], 'no device'],
    [[11], 'more than there are'],
    [[5, 6], 'more than there are together'],
    [['60%', '50%'], 'shares above all'],
  ] as const)
    t.throws(() => planWaves(waves as never, 10), { code: 'SPEC_INVALID' }, what);
});

t.test(
  'promises: intervals that meet, counts that are equal, limits; slower and faster break them',
  async (t) => {
    const timed = (value: number, low: number, high: number) =>
      ({
        ...measurement,
        latency: { ...measurement.latency, normalisedUs: value, normalisedCiUs: [low, high] },
      }) as Measurement;
    const sister = {
      kind: 'estimate',
      metric: 'latencyUs',
      value: 100,
      ci: [97, 103],
      source: 'm1 on a',
    } as const;
    t.equal(brokenPromise(timed(100, 98, 102), sister, 0.05), null);
    t.equal(
      brokenPromise(timed(108, 105, 111), sister, 0.05),
      null,
      'the interval of the difference reaches into the margin',
    );
    t.match(
      brokenPromise(timed(120, 118, 122), sister, 0.05),
      /slower than 100 \[97, 103\], promised by m1 on a/,
    );
    t.match(brokenPromise(timed(80, 79, 81), sister, 0.05), /faster/);
    t.match(brokenPromise(timed(108, 105, 111), sister, 0), /slower/);
    const given = {
      kind: 'interval',
      metric: 'latencyUs',
      low: 90,
      high: 110,
      source: 'the specification',
    } as const;
    t.equal(brokenPromise(timed(112, 109, 115), given, 0), null);
    t.match(brokenPromise(timed(112, 110.5, 115), given, 0), /slower than \[90, 110\]/);
    t.match(brokenPromise(timed(80, 78, 89), given, 0), /faster/);
    const counted = (total: number) =>
      ({
        ...measurement,
        latency: null,
        provenance: 'emulated',
        counts: { unit: 'cycles', total },
      }) as unknown as Measurement;
    const exact = { kind: 'exact', metric: 'cycles', value: 5000, source: 'm2 on b' } as const;
    t.equal(brokenPromise(counted(5000), exact, 0.05), null);
    t.match(
      brokenPromise(counted(5001), exact, 0.05),
      /cycles is 5001, m2 on b promised 5000/,
      'no margin for counts',
    );
    t.match(brokenPromise(counted(5000), sister, 0.05), /tells no latencyUs/, 'counts are no time');
    t.equal(
      brokenPromise(counted(5000), { kind: 'limit', metric: 'cycles', max: 5000, source: 's' }, 0),
      null,
    );
    t.match(
      brokenPromise(counted(5001), { kind: 'limit', metric: 'cycles', max: 5000, source: 's' }, 0),
      /allows 5000/,
    );
  },
);

t.test('a network reaches all devices, wave by wave, and what they run is known', async (t) => {
  const { world, ids, model1, model2, begin, flash } = await openFleet(t, 6);
  const one = await begin(model1, { waves: [1, 2] });
  t.match(one, { id: 'rollout-1', name: 'keyword', version: 1, state: 'checking' });
  await world.ended('rollout-1', 'done');
  t.same(
    (await world.store.rolloutDevices('rollout-1')).map(({ wave }) => wave),
    [0, 1, 1, 2, 2, 2],
  );
  const two = await begin(model2);
  t.equal(two.version, 2, 'versions of a name are numbered');
  await world.ended('rollout-2', 'done');
  for (const id of ids) {
    t.match(flash(id), { holds: 'whole', crc: crc2, writes: 2 });
    t.match(await world.store.runningOn(id as never), { name: 'keyword', version: 2, rollout: 'rollout-2' });
  }
  const [id = ''] = ids;
  const changes = await world.store.deviceChanges({ deviceId: id as never });
  t.same(
    changes.map(({ step, rollout }) => `${rollout} ${step}`),
    ['rollout-2', 'rollout-1'].flatMap((rollout) =>
      ['live', 'measuring', 'testing', 'deploying'].map((step) => `${rollout} ${step}`),
    ),
  );
  t.same(world.errors, []);
});

t.test('bad devices are put back and named, with why', async (t) => {
  const faults: Record<string, Fault> = {
    'fake-001': 'unplugged',
    'fake-002': 'wrong',
    'fake-003': 'slow',
  };
  const { world, model1, model2, begin, flash } = await openFleet(t, 8, faults);
  await begin(model1, { waves: [8] });
  await world.ended('rollout-1', 'done');
  await begin(model2, { stop: { failed: 3 } });
  await world.ended('rollout-2', 'done');
  const devices = await world.store.rolloutDevices('rollout-2');
  const bad = devices.filter(({ step }) => step !== 'live');
  t.same(bad.map(({ deviceId, step, reason }) => [deviceId, step, reason?.code]).sort(), [
    ['fake-001', 'restored', 'DEVICE_GONE'],
    ['fake-002', 'restored', 'SELF_TEST_FAILED'],
    ['fake-003', 'restored', 'PROMISE_BROKEN'],
  ]);
  t.match(
    bad.find(({ deviceId }) => deviceId === 'fake-003')?.reason?.message,
    /slower than .* promised by m\d+/,
  );
  for (const { deviceId } of devices) {
    const isBad = deviceId in faults;
    t.match(flash(deviceId), { holds: 'whole', crc: isBad ? crc1 : crc2 }, deviceId);
    const running = await world.store.runningOn(deviceId);
    t.match(running, { version: isBad ? 1 : 2, rollout: isBad ? 'rollout-1' : 'rollout-2' }, deviceId);
  }
  const [change] = await world.store.deviceChanges({ deviceId: 'fake-002' as never });
  t.match(change, { step: 'restored', reason: { code: 'SELF_TEST_FAILED' } });
});

t.test('the network of a trial, held against what its study measured', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-flash-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const driver = { folder, ids: idsOf(3), faults: {}, goodWeights: weightsOf(first) };
  const world = await openWorld(t, () => new FlashDriver(driver), second);
  const rng = [1, 2, 3, 4] as const;
  const { id } = await world.store.createStudy({ name: 's', spec: {}, sampler: null, rng });
  const asked = { architectureId: 'a' as never, architecture: [1], note: '', predicted: {} };
  await world.store.askTrials(id, [asked], { sampler: null, rng });
  const { done } = await world.jobs.submit({
    work: { kind: 'measure', protocol: loadProtocol('quick'), calibration: null, ramBytes: null },
    network: { model: await world.upload(second) },
    devices: { device: 'fake-001' as never },
    owner: { kind: 'study', study: id, trial: 0, late: false },
  });
  const { measurement: taken } = await done;
  const spec = { study: id, trial: 0, devices: 'target=fake' };
  t.equal(await codeOf(world.rollouts.begin({ ...spec, trial: 1 })), 'NOT_FOUND');
  const { name } = await world.rollouts.begin(spec);
  t.equal(name, `${id}-trial-0`);
  await world.ended('rollout-1', 'done');
  const { counts, request } = await world.store.rollout('rollout-1');
  t.same(counts, { live: 3 });
  const [promised] = Object.values((request as { promises: Record<string, { source: string }> }).promises);
  t.equal(promised?.source, `${taken?.id} on fake-001`);
  for (const one of driver.ids) t.equal(flashOf(folder, one).crc, crc2);
});

t.test('a device that held nothing is erased', async (t) => {
  const { world, model2, begin, flash } = await openFleet(t, 2, { 'fake-000': 'wrong' });
  await begin(model2, { waves: [1, 1] });
  await world.ended('rollout-1', 'stopped');
  t.match(flash('fake-000'), { holds: 'nothing' });
  t.equal(await world.store.runningOn('fake-000' as never), undefined);
});

t.test(
  'the rule stops it before the next device; resuming accepts what failed; aborting puts back',
  async (t) => {
    const { world, model1, model2, begin, flash, ids } = await openFleet(t, 6, { 'fake-001': 'wrong' });
    await begin(model1, { waves: [6] });
    await world.ended('rollout-1', 'done');
    await begin(model2, { waves: [1, 1, 1, 3] });
    await world.ended('rollout-2', 'stopped');
    const stopped = await world.rollouts.settled('rollout-2');
    t.match(stopped.reason, { code: 'ROLLOUT_STOPPED', details: { devices: [{ deviceId: 'fake-001' }] } });
    t.same(stopped.counts, { live: 1, restored: 1, planned: 4 });
    t.equal(await codeOf(begin(model1)), 'STATE_CONFLICT', 'its devices are taken until it ends');
    await world.rollouts.resume('rollout-2');
    await world.ended('rollout-2', 'done');
    t.same((await world.store.rollout('rollout-2')).counts, { live: 5, restored: 1 });
    t.equal(await codeOf(world.rollouts.abort('rollout-2')), 'STATE_CONFLICT', 'it has ended');

    await begin(model1, { waves: [2, 4], pauseS: 3600 });
    await until(async () => (await world.store.rollout('rollout-3')).wave === 1, 'the second wave waits');
    await world.rollouts.abort('rollout-3');
    await world.ended('rollout-3', 'aborted');
    t.same((await world.store.rollout('rollout-3')).counts, { restored: 2, planned: 4 });
    for (const id of ids) t.equal(flash(id).crc, id === 'fake-001' ? crc1 : crc2, id);

    await begin(model1, { waves: [2, 4], pauseS: 3600 });
    await until(async () => (await world.store.rollout('rollout-4')).wave === 1, 'the second wave waits');
    await world.rollouts.pause('rollout-4');
    t.match(await world.rollouts.settled('rollout-4'), { state: 'paused' });
    await world.rollouts.abort('rollout-4', { keep: true });
    await world.ended('rollout-4', 'aborted');
    t.same((await world.store.rollout('rollout-4')).counts, { live: 2, planned: 4 }, 'kept');
  },
);

t.test('a pause accepts no failure: the rule counts on', async (t) => {
  const faults: Record<string, Fault> = { 'fake-000': 'wrong', 'fake-002': 'wrong' };
  const { world, model2, begin } = await openFleet(t, 4, faults);
  await begin(model2, { waves: [1, 3], pauseS: 3600, stop: { failed: 1 }, atOnce: 1 });
  await until(async () => (await world.store.rollout('rollout-1')).wave === 1, 'the second wave waits');
  await world.rollouts.pause('rollout-1');
  await world.rollouts.settled('rollout-1');
  t.equal(await codeOf(world.rollouts.pause('rollout-1')), 'STATE_CONFLICT');
  await world.store.setRollout('rollout-1', ['paused'], { waitUntilMs: null });
  await world.rollouts.resume('rollout-1');
  await world.ended('rollout-1', 'stopped');
  t.same((await world.store.rollout('rollout-1')).counts, { restored: 2, live: 1, planned: 1 });
});

t.test('a network that does not fit is refused before the first wave, with the limit', async (t) => {
  const { world, model2, begin, flash, ids } = await openFleet(t, 4, { 'fake-003': 'small' });
  await begin(model2);
  await world.ended('rollout-1', 'refused');
  const { reason, counts } = await world.store.rollout('rollout-1');
  t.match(reason, {
    code: 'DEVICE_OUT_OF_MEMORY',
    message: /does not fit 1 of 4 devices: fake-003: .*4096 bytes of flash, fake-003 has 1024/,
    details: { limitBytes: 1024, devices: [{ deviceId: 'fake-003' }] },
  });
  t.same(counts, { planned: 4 });
  for (const id of ids) t.equal(flash(id).holds, 'nothing');
});

t.test('devices that do not answer, leave for good, or never come: bounded, and named', async (t) => {
  const faults: Record<string, Fault> = { 'fake-000': 'deaf', 'fake-001': 'gone' };
  const { world, model2, begin, driver } = await openFleet(t, 4, faults);
  driver().unplug('fake-002', true);
  await begin(model2, { waves: [4], stop: { share: 1 }, deadlineS: 0.5, restoreS: 1.2 });
  await world.ended('rollout-1', 'done');
  const devices = await world.store.rolloutDevices('rollout-1');
  t.same(
    devices.map(({ deviceId, step, reason }) => [deviceId, step, reason?.code ?? null]),
    [
      ['fake-000', 'restored', 'DEVICE_TIMEOUT'],
      ['fake-001', 'failed', 'DEVICE_GONE'],
      ['fake-002', 'restored', 'DEVICE_GONE'],
      ['fake-003', 'live', null],
    ],
  );
  t.match(devices[1]?.reason?.message, /could not be put back/);
});

t.test('wrong input is refused by name, and nothing is stored', async (t) => {
  const { world, model1, begin } = await openFleet(t, 3);
  const refused = (given: object): Promise<unknown> =>
    begin(model1, given).then(
      () => 'it began',
      (thrown: HildaError) => thrown,
    );
  for (const [given, code, message] of [
    [{ devices: 'tag=none' }, 'DEVICE_UNKNOWN', /tag=none/],
    [{ devices: 'nobody' }, 'DEVICE_UNKNOWN', /nobody/],
    [{ devices: [] }, 'SPEC_INVALID', /devices/],
    [{ model: 'f'.repeat(64) }, 'NOT_FOUND', /model/],
    [{ model: undefined, study: 'study-9', trial: 1 }, 'STUDY_UNKNOWN', /study/],
    [{ model: undefined, study: 'study-9' }, 'SPEC_INVALID', /trial/],
    [{ model: undefined }, 'SPEC_INVALID', /model/],
    [{ study: 'study-1', trial: 1 }, 'SPEC_INVALID', /model/],
    [{ waves: [0, 3] }, 'SPEC_INVALID', /no device/],
    [{ waves: [4] }, 'SPEC_INVALID', /4 devices, 3/],
    [{ waves: ['x'] }, 'SPEC_INVALID', /waves/],
    [{ promise: [{ metric: 'latencyUs', max: 5 }] }, 'SPEC_INVALID', /no interval/],
    [{ promise: [{ metric: 'latencyUs', low: 5 }] }, 'SPEC_INVALID', /no interval/],
    [{ promise: [{ metric: 'latencyUs', low: 5, high: 4 }] }, 'SPEC_INVALID', /below its beginning/],
    [{ promise: [{ metric: 'latencyUs', target: 'other', low: 5, high: 6 }] }, null, null],
    [{ protocol: 'none' }, 'PROTOCOL_UNKNOWN', /none/],
    [{ stop: { failed: -1 } }, 'SPEC_INVALID', /stop/],
    [{ typo: 1 }, 'SPEC_INVALID', /typo/],
  ] as const) {
    const error = await refused(given);
    if (code === null) t.equal(error, 'it began', 'another target: what was measured speaks');
    else t.match(error, { code, message }, JSON.stringify(given));
  }
  t.equal(await world.store.rolloutCount(), 1);
  const unmeasured = versionOf(7);
  const other = {
    ...unmeasured,
    nodes: unmeasured.nodes.slice(0, 1),
    outputs:
      unmeasured.nodes[0]?.outputs.map((name) => ({ name, dtype: 'float32', dims: [1, 4, 8, 8] })) ?? [],
  };
  const model = await world.upload(other as never);
  t.match(await refused({ model }), { code: 'SPEC_INVALID', message: /nothing promises a cost on fake/ });
});

t.test(
  'a service that is dropped at any step goes on over the same store, and nothing is done twice',
  async (t) => {
    const faults: Record<string, Fault> = {
      'fake-002': 'wrong',
      'fake-005': 'slow',
      'fake-007': 'unplugged',
    };
    const { world, ids, model1, model2, begin, flash } = await openFleet(t, 10, faults, { flashMs: 8 });
    await begin(model1, { waves: [10] });
    await world.ended('rollout-1', 'done');
    await begin(model2, { waves: [2, 8], stop: { share: 0.5 }, atOnce: 3 });
    let restarts = 0;
    const seen = new Set<string>();
    // Each time that a device was seen in another step than before, all is dropped.
    while ((await world.store.rollout('rollout-2')).state !== 'done' && restarts < 25) {
      const before = JSON.stringify(await world.standing('rollout-2'));
      await until(
        async () =>
          JSON.stringify(await world.standing('rollout-2')) !== before ||
          (await world.store.rollout('rollout-2')).state === 'done',
        'something happens',
      );
      for (const step of Object.keys(await world.standing('rollout-2'))) seen.add(step);
      await world.restart();
      restarts++;
    }
    await world.ended('rollout-2', 'done');
    t.ok(restarts >= 10, 'it was dropped often');
    t.ok(seen.size >= 5, [...seen].join());
    for (const id of ids) {
      const isBad = id in faults;
      t.match(flash(id), { holds: 'whole', crc: isBad ? crc1 : crc2 }, id);
      t.match(await world.store.runningOn(id as never), { version: isBad ? 1 : 2 }, id);
    }
    const jobs = await world.store.jobs({ share: 'rollout:rollout-2', limit: 1000 });
    const keys = jobs.map(({ idempotencyKey }) => idempotencyKey);
    t.equal(new Set(keys).size, keys.length, 'one job a key');
  },
);
