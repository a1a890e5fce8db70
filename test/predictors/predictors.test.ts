import t from 'tap';
import type { Architecture } from '../../daemon/core/architecture.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { DeviceId, PredictorId } from '../../daemon/core/ids.js';
import type { Json } from '../../daemon/core/json.js';
import { randomInt, Xoshiro128 } from '../../daemon/core/rng.js';
import { fakeLatencyUs } from '../../daemon/devices/fake/device.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { Campaigns } from '../../daemon/jobs/campaigns.js';
import { tableSum } from '../../daemon/predict/tables/latency-table.js';
import { formatTable, parseTable } from '../../daemon/predict/tables/table-formats.js';
import { randomNetworks } from '../../daemon/predictors/choose-networks.js';
import {
  blockParts,
  countedOperators,
  operatorParts,
  profiledOperators,
} from '../../daemon/predictors/operator-parts.js';
import type { PredictorBody, PredictorSample } from '../../daemon/predictors/predictor-body.js';
import { learntFromLive, withLive } from '../../daemon/predictors/predictor-changes.js';
import { predictorFigures } from '../../daemon/predictors/predictor-figures.js';
import { PredictorService } from '../../daemon/predictors/predictor-service.js';
import { ProbeSchedules } from '../../daemon/predictors/probe-schedules.js';
import {
  type Profiled,
  profilingOverhead,
  withoutProfiling,
} from '../../daemon/predictors/profiling-overhead.js';
import { Schedules } from '../../daemon/schedules/schedules.js';
import { FailingDriver } from '../blame/failing-driver.js';
import { until } from '../until.js';
import { clock, device, openService, profilesDir, space } from './bench.js';

t.test('what profiling adds to every operator is taken off', async (t) => {
  const rng = Xoshiro128.fromSeed(8);
  const truth = Array.from({ length: 12 }, () =>
    Array.from({ length: 3 + randomInt(rng, 20) }, () => 0.5 + 30 * rng.next()),
  );
  const profiled = (costs: readonly number[], stamp: number, speed: number): Profiled => ({
    operators: costs.map((cost, i) => ({
      name: `n${i}`,
      op: 'Conv',
      cost: (cost + stamp) / speed,
      outputBytes: 4,
    })),
    whole: costs.reduce((a, b) => a + b, 0),
  });
  const left = (networks: readonly Profiled[]): number[][] => {
    const added = profilingOverhead(networks);
    return networks.map(({ operators }) => withoutProfiling(operators, added).map(({ cost }) => cost));
  };
  for (const [stamp, speed] of [
    [3, 1],
    [4, 1.2],
    [-2, 0.9],
  ] as const) {
    const costs = left(truth.map((one) => profiled(one, stamp, speed)));
    const worst = Math.max(
      ...costs.flatMap((row, i) => row.map((cost, j) => Math.abs(cost - truth[i]![j]!))),
    );
    t.ok(worst < 1e-6, `${stamp} us a stamp at ${speed} times the speed: ${worst}`);
  }
  // Too few to tell a stamp from the speed: the sums agree all the same.
  const [few] = left([profiled([10, 2, 20], 3, 1)]);
  t.same(few, [10, 2, 20]);
  t.same(
    left([profiled([10, 0.5], 3, 2)])[0]?.map((cost) => cost >= 0),
    [true, true],
  );
  t.same(profilingOverhead([]), { scale: 1, overhead: 0 });
});

t.test('a campaign makes a predictor and a table of the same networks', async (t) => {
  const { store, service, ended, request } = await openService(t);
  const id = await ended((await service.train(request)).id);
  const predictor = await service.open(id);
  t.equal(predictor.body.samples.length, 24);
  t.equal(predictor.body.provenance, 'emulated', 'what a fake says is no measurement');
  const rng = Xoshiro128.fromSeed(99);
  const asked = Array.from({ length: 30 }, () => space.sample(rng));
  const { mean, low, high } = await service.predict(id, asked, 'fake-1');
  const truth = asked.map((a) => fakeLatencyUs(space.network(a)));
  const errors = truth.map((y, i) => Math.abs((mean[i] as number) / y - 1));
  t.ok(
    errors.filter((e) => e < 0.1).length >= 28,
    `within 10 %: ${errors.filter((e) => e < 0.1).length} of 30`,
  );
  t.ok(truth.filter((y, i) => y >= (low[i] as number) && y <= (high[i] as number)).length >= 22);

  const figures = predictorFigures(predictor);
  t.equal(figures.pairs.length, 24);
  t.ok(figures.learningCurve.length >= 2);
  t.ok(figures.reliability.every(({ actual }) => actual >= 0 && actual <= 1));

  const { named, additivity } = await service.table(id, 'operators');
  t.ok(
    additivity && additivity.kendall > 0.9 && additivity.scaledMapePercent < 10,
    JSON.stringify(additivity),
  );
  t.ok(Math.abs(additivity?.biasPercent ?? 9) < 1, 'the fixed 20 us of a run are shared among its operators');
  t.ok(tableSum(named.table, named.table.keys()) > 0);
  t.throws(() => tableSum(named.table, ['Conv of nowhere']), { code: 'TABLE_INCOMPLETE' });
  const blocks = (await service.table(id, 'blocks')).named;
  t.ok([...blocks.table.keys()].every((key) => /^[A-Za-z_1]+-input:/.test(key)));
  t.throws(() => formatTable(blocks, 'ofa'), { code: 'TABLE_INVALID' }, 'cycles are no milliseconds');
  const back = parseTable(formatTable(blocks, 'hilda'), 'hilda', '');
  t.same([...back.table.keys()], [...blocks.table.keys()]);

  const before = (await store.measurements({ limit: 1000 })).length;
  await ended((await service.train(request)).id);
  t.equal(
    (await store.measurements({ limit: 1000 })).length,
    before,
    'valid measurements are not taken twice',
  );
});

t.test('the networks of a table hold every block that its space can draw', async (t) => {
  const keysOf = (architectures: readonly Architecture[]): Set<string> =>
    new Set(architectures.flatMap((a) => space.blocks?.(a).map(({ key }) => key) ?? []));
  const drawn = Xoshiro128.fromSeed(1);
  const all = keysOf(Array.from({ length: 3000 }, () => space.sample(drawn)));
  const lacking = (seed: number, covering: boolean): number => {
    const chosen = [...randomNetworks(space, [], 30, Xoshiro128.fromSeed(seed), { covering })];
    t.equal(new Set(chosen.map(({ architecture }) => JSON.stringify(architecture))).size, 30);
    t.ok(chosen.slice(0, 20).every(({ reason }) => reason !== 'covering'));
    return all.size - keysOf(chosen.map(({ architecture }) => architecture)).size;
  };
  const seeds = Array.from({ length: 20 }, (_, i) => i + 1);
  t.same(
    seeds.filter((seed) => lacking(seed, true) > 0),
    [],
  );
  t.ok(seeds.filter((seed) => lacking(seed, false) > 0).length > 5, 'by chance some are missing');
});

t.test('an active campaign measures the front, what tells most, and an audit', async (t) => {
  const { service, ended, request } = await openService(t);
  const active = { ...request, samples: 40, profile: false, choice: 'active' } as const;
  const campaign = await service.train(active);
  const id = await ended(campaign.id);
  const { reasons } = await service.campaign(campaign.id);
  t.same(reasons, { given: 2, random: 18, front: 6, uncertain: 12, audit: 2 });
  const predictor = await service.open(id);
  const chosen = predictor.body.samples.map(({ architecture }) => JSON.stringify(architecture));
  t.equal(new Set(chosen).size, 40, 'nothing is measured twice');
  const again = await service.open(await ended((await service.train(active)).id));
  t.same(
    again.body.samples.map(({ architecture }) => JSON.stringify(architecture)),
    chosen,
    'reproducible',
  );
  // Cost against multiply-accumulates, over all that were measured; one seed says little about a front.
  let [byChoice, byChance] = [0, 0];
  for (const seed of [request.seed, 4, 5]) {
    const random = { ...active, seed, choice: 'random' } as const;
    const all = await service.open(await ended((await service.train(random)).id));
    const own =
      seed === request.seed
        ? predictor
        : await service.open(await ended((await service.train({ ...active, seed })).id));
    const [a, b] = [own, all].map(({ body }) =>
      body.samples.slice(0, 20).map((s) => JSON.stringify(s.architecture)),
    );
    t.same(a, b, 'the first twenty are the same');
    const points = [own, all].map(({ body }) =>
      body.samples.slice(20).map(({ architecture, value }) => ({
        cost: value,
        macs: space.stats(architecture as Architecture).macs,
      })),
    );
    const dominated = (p: { cost: number; macs: number }): boolean =>
      points.flat().some((q) => q.cost < p.cost && q.macs > p.macs);
    const [chosenHere = 0, chanceHere = 0] = points.map((list) => list.filter((p) => !dominated(p)).length);
    byChoice += chosenHere;
    byChance += chanceHere;
    t.comment(`seed ${seed}: ${chosenHere} of the front were chosen, ${chanceHere} came at random`);
  }
  t.ok(byChoice > byChance, `${byChoice} of the fronts were chosen, ${byChance} came at random`);
});

t.test('drift is told, and a refit ends it', async (t) => {
  const { store, service, ended, request } = await openService(t, { noise: 0.005 });
  const id = await ended((await service.train({ ...request, profile: false })).id);
  await ended((await service.probe(id, 10, 77)).id);
  t.equal((await service.open(id)).drift().state, 'steady');
  const record = await store.predictor(id);
  const body = record.body as { live: { measured: number; atMs: number }[] };
  // The device became a third slower.
  const slower = { ...body, live: body.live.map((l) => ({ ...l, measured: l.measured * 1.35 })) };
  await store.updatePredictor(id, slower as unknown as Json);
  const drifted = await service.open(id);
  t.equal(drifted.drift().state, 'drifted', drifted.drift().reason);
  t.match(drifted.cautions().join(), /drifted/);
  const [architecture] = drifted.body.samples.map((s) => s.architecture as Architecture);
  const was = (await service.predict(id, [architecture as Architecture])).mean[0] as number;
  await service.refit(id);
  const now = (await service.predict(id, [architecture as Architecture])).mean[0] as number;
  t.ok(now / was > 1.25 && now / was < 1.45, `${now / was}`);
  t.equal((await service.open(id)).drift().state, 'too-few');
});

t.test('a schedule probes by itself, tells what it found, and outlasts the daemon', async (t) => {
  const { store, service, ended, request } = await openService(t, { noise: 0.005 });
  const id = await ended((await service.train({ ...request, profile: false })).id);
  const calendar = new Schedules({ store, clock });
  const schedules = new ProbeSchedules({ store, predictors: service, schedules: calendar, clock });
  await calendar.start();
  const plan = { cron: '* * * * * *', count: 8, refit: true };
  // The second one's minutes would fill the memory.
  for (const cron of ['each night', '0-9999999999 * * * *', `${'0,'.repeat(200)}1 * * * *`])
    await t.rejects(schedules.set(id, { ...plan, cron }), { code: 'SCHEDULE_INVALID' });
  t.equal(await schedules.of(id), null, 'a refused one leaves nothing');
  await t.rejects(schedules.set('predictor-9' as PredictorId, plan), { code: 'PREDICTOR_UNKNOWN' });
  const probes = async (n: number) => {
    for (;;) {
      const events = (await store.events(0, { topics: ['predictors'] })).map(
        ({ data }) => data as { type: string; outcome: string },
      );
      const told = events.filter(({ type }) => type === 'probe');
      if (told.length >= n) return told;
      await clock.sleep(20, { signal: new AbortController().signal });
    }
  };
  t.match(await schedules.set(id, plan), { ...plan, last: null });
  t.equal((await probes(1))[0]?.outcome, 'steady');
  await until(async () => (await schedules.of(id))?.last !== null, 'the probe is kept');
  await calendar.stop();
  t.match((await schedules.of(id))?.last, { outcome: 'steady' });

  // Next day the device is a third slower; another daemon finds the schedule in the store.
  const { live, ...body } = (await service.open(id)).body;
  const slower = { ...body, live: live.map((l) => ({ ...l, measured: 1.35 * l.measured })) };
  await store.updatePredictor(id, slower as unknown as Json);
  const before = (await probes(1)).length;
  const later = new Schedules({ store, clock });
  const next = new ProbeSchedules({ store, predictors: service, schedules: later, clock });
  await next.start();
  await later.start();
  t.equal((await probes(before + 1))[before]?.outcome, 'drifted');
  await next.clear(id);
  t.equal(await next.of(id), null);
  await later.stop();
  t.equal((await service.open(id)).drift().state, 'too-few', 'it was refitted at once');

  // As a version before kept it.
  const former = { ...plan, cron: '0 3 * * *', last: { atMs: 1, outcome: 'steady', reason: 'as it was' } };
  await store.setValue('probe schedules', { [id]: former, 'predictor-gone': former });
  const third = new ProbeSchedules({ store, predictors: service, schedules: later, clock });
  await third.start();
  t.match(await third.of(id), { cron: '0 3 * * *', count: 8, refit: true });
  t.same(await store.value('probe schedules'), {});
});

t.test('a campaign goes on with other networks where one ends in a fault, and says so', async (t) => {
  const driver = new FailingDriver({ ids: ['fake-0', 'fake-1'] });
  // One network, and the reference networks that are run after it: the device is at fault, once.
  let bad: string | undefined;
  let isFailing = false;
  driver.before = ({ call, hash, isReference }) => {
    if (call === 3) bad = hash;
    if (!isReference) isFailing = hash === bad;
    if (isFailing) throw new HildaError('DEVICE_FAILED', 'as it was told');
  };
  const { service, ended, request } = await openService(t, {}, driver);
  const started = await service.train({ ...request, samples: 12, profile: false });
  const id = await ended(started.id);
  const { failures, done, of } = await service.campaign(started.id);
  t.equal(failures.length, 1, failures.join());
  t.match(failures[0], /^DEVICE_FAILED: fake-0 does not run a reference network either/);
  t.equal(done, of);
  t.equal((await service.open(id)).body.samples.length, 11);
});

t.test('what cannot be answered is refused by name', async (t) => {
  const { store, service, ended, request } = await openService(t);
  await t.rejects(service.train({ ...request, device: 'none' }), { code: 'DEVICE_UNKNOWN' });
  await t.rejects(service.train({ ...request, space: 'none' }), { code: 'NOT_FOUND' });
  await t.rejects(service.train({ ...request, protocol: 'none' }), { code: 'PROTOCOL_UNKNOWN' });
  await t.rejects(service.campaign('9'), { code: 'NOT_FOUND' });
  await t.rejects(service.open('predictor-9' as PredictorId), { code: 'PREDICTOR_UNKNOWN' });
  const tooFew = await service.train({ ...request, samples: 1, profile: false });
  await t.rejects(ended(tooFew.id), { code: 'PREDICTOR_UNFIT' });

  const id = await ended((await service.train({ ...request, samples: 8, profile: false })).id);
  t.match((await service.open(id)).cautions().join(), /8 samples: the interval is wide/);
  await t.rejects(service.table(id, 'operators'), { code: 'PREDICTOR_UNFIT' });
  const other = await store.upsertDevice({
    id: 'other' as DeviceId,
    kind: 'fake',
    label: 'Other',
    target: { ...(await store.device(device as DeviceId)).target, runtimeVersion: '2', threads: 4 },
  });
  await t.rejects(service.predict(id, [space.sample(Xoshiro128.fromSeed(1))], other.id), {
    code: 'TARGET_MISMATCH',
    message: /runtimeVersion 1, not 2; threads 1, not 4/,
  });
  await t.rejects(service.predict(id, ['no architecture' as unknown as Architecture]), {
    code: 'ARCHITECTURE_INVALID',
  });
  const body = (await store.predictor(id)).body as { samples: object[] };
  for (const damage of [
    { ...body, samples: [{ ...body.samples[0], value: -1 }] },
    { ...body, version: 9 },
    'nonsense',
  ]) {
    await store.updatePredictor(id, damage as Json);
    await t.rejects(service.open(id), { code: 'PREDICTOR_CORRUPT' });
  }
});

t.test('a fused operator stands for its nodes, in its block', async (t) => {
  const architecture = space.sample(Xoshiro128.fromSeed(5));
  const network = space.network(architecture);
  const blocks = space.blocks?.(architecture) ?? [];
  const executed = network.nodes
    .filter(({ op }) => op !== 'Clip' && op !== 'BatchNormalization')
    .map((node) => ({
      name: node.name || (node.outputs[0] as string),
      op: node.op,
      cost: 1,
      outputBytes: 4,
    }));
  const parts = operatorParts(
    [...executed, { ...executed[0], name: 'reorder', op: 'ReorderInput' } as never],
    network,
  );
  t.ok(
    parts.slice(0, -1).every(({ key }) => key.includes(' > ')),
    parts[0]?.key as string,
  );
  t.equal(parts.at(-1)?.key, 'ReorderInput 4B');
  const sums = blockParts(executed, network, blocks);
  t.equal(
    sums.reduce((sum, { cost }) => sum + cost, 0),
    executed.length,
    'no operator is lost',
  );
  t.equal(sums[0]?.cost, 1, 'the stem is one convolution');
  const blocked = profiledOperators(
    executed.map(({ name, op }) => ({ name: `${name}_nchwc`, op, medianUs: 1 }) as never),
  );
  t.same(blockParts(blocked, network, blocks), sums, "names of onnxruntime's blocked layout are known");
  const counted = countedOperators({
    counts: { operators: executed.map(({ name, op }) => ({ name, op, count: 7 })) } as never,
  });
  t.same(
    blockParts(counted, network, blocks).map(({ cost }) => cost),
    sums.map(({ cost }) => 7 * cost),
    "a board's counts fill a table as a profile does",
  );
  t.equal(
    sums.at(-1)?.key,
    `Logits-input:${/output:(\S+)$/.exec(sums.at(-2)?.key as string)?.[1]}-output:10`,
  );
});

t.test('residuals are the latest; learning from them moves what was known by the drift', async (t) => {
  const sample = (value: number): PredictorSample => ({
    architecture: [value],
    structureHash: 'a',
    measurementId: 'm',
    value,
    parts: [{ key: 'k', cost: 1 }],
    blocks: [],
  });
  const given = { version: 1, samples: [sample(10), sample(20)], live: [] } as unknown as PredictorBody;
  const many = Array.from({ length: 150 }, (_, i) => sample(i + 1));
  const all = (value: number) => Float64Array.from(many, () => value);
  const said = { mean: all(5), low: all(4), high: all(6) };
  const once = withLive(given, many, said, 1);
  t.same(once.live[0], { architecture: [1], predicted: 5, low: 4, high: 6, measured: 1, atMs: 1 });
  const twice = withLive(once, many, said, 2);
  t.equal(twice.live.length, 200, 'the oldest hundred are gone');
  t.same([twice.live[0]?.measured, twice.live[0]?.atMs, twice.live.at(-1)?.measured], [101, 1, 150]);
  const learnt = learntFromLive(once, 1.5);
  t.same(
    learnt.samples.slice(0, 3).map(({ value }) => value),
    [15, 30, 1],
    'what was measured today is not moved',
  );
  t.equal(learnt.samples.length, 152);
  t.same(learnt.samples[0]?.parts, [{ key: 'k', cost: 1 }]);
  t.same(learnt.live, []);
  t.same(learntFromLive(given, 1), given);
});

t.test('campaigns are rows: listed, cancelled, and taken up by the next daemon', async (t) => {
  const driver = new FakeDriver({ ids: ['fake-0', 'fake-1'] });
  const { store, jobs, service, campaigns, ended, request } = await openService(t, {}, driver);
  const asked = { ...request, samples: 8, profile: false };
  const cancelled = await service.train({ ...asked, samples: 5000 });
  t.match(await campaigns.list({ state: 'running' }), {
    campaigns: [{ id: cancelled.id, kind: 'train', of: 5000 }],
    total: 1,
  });
  t.match(await campaigns.cancel(cancelled.id), { state: 'cancelled', error: { code: 'INTERRUPTED' } });
  await t.rejects(campaigns.cancel(cancelled.id), { code: 'STATE_CONFLICT' });
  await t.rejects(campaigns.cancel('99'), { code: 'NOT_FOUND' });

  const whole = await store.predictor(await ended((await service.train(asked)).id));
  const measured = await store.measurementCount({});
  const broken = await service.train({ ...asked, seed: 4 });
  for (let i = 0; i < 20_000 && (await service.campaign(broken.id)).done < 3; i++) await clock.sleep(5);
  // As a daemon that ends: the row stays as it is.
  await campaigns.stop();
  const left = await store.campaign(broken.id);
  t.match(left, { state: 'running', kind: 'train' });
  const before = await store.measurementCount({});
  const next = new Campaigns({ store, clock });
  const later = new PredictorService({ store, jobs, campaigns: next, clock, profilesDir });
  await next.start();
  const done = await later.finished(broken.id);
  t.match(done, { state: 'done', done: 8, of: 8, error: null });
  const made = await store.predictor(done.predictorId as PredictorId);
  t.equal((made.body as { samples: unknown[] }).samples.length, 8);
  t.not(made.id, whole.id);
  t.equal((await store.predictors()).length, 2, 'one predictor a campaign');
  t.ok((await store.measurementCount({})) - before <= 8 - (before - measured), 'nothing is measured twice');

  const probe = await later.probe(whole.id, 4, 9);
  await next.finished(probe.id);
  t.match(await later.campaign(probe.id), { state: 'done', predictorId: whole.id });
  await next.stop();
});
