import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import {
  blockParts,
  countedOperators,
  operatorParts,
  profiledOperators,
} from '../../daemon/campaign/operator-parts.js';
import { predictorFigures } from '../../daemon/campaign/predictor-figures.js';
import { PredictorService } from '../../daemon/campaign/predictor-service.js';
import { ProbeSchedules } from '../../daemon/campaign/probe-schedules.js';
import type { Architecture } from '../../daemon/core/architecture.js';
import { systemClock } from '../../daemon/core/clock.js';
import type { DeviceId, PredictorId } from '../../daemon/core/ids.js';
import type { Json } from '../../daemon/core/json.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { type FakeDeviceOptions, fakeLatencyUs } from '../../daemon/devices/fake/device.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { tableSum } from '../../daemon/predict/tables/latency-table.js';
import { formatTable, parseTable } from '../../daemon/predict/tables/table-formats.js';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { openStore } from '../../daemon/store/open-store.js';
import { findSpace } from '../../daemon/study/parts.js';
import { StudyService } from '../../daemon/study/service.js';
import { testSpec } from '../study/bench.js';

const profilesDir = fileURLToPath(new URL('../../../profiles', import.meta.url));
const clock = systemClock;
const device = 'fake-0';
const space = loadSpace(findSpace('mbconv-fmnist', profilesDir));

async function openService(t: Test, options: FakeDeviceOptions = {}) {
  const store = await openStore({ dataDir: ':memory:', clock });
  const pool = new DevicePool({
    store,
    drivers: [new FakeDriver({ ...options, ids: [device, 'fake-1'] })],
    clock,
  });
  const { signal } = new AbortController();
  await pool.start(signal);
  await pool.discover({ signal });
  for (const id of [device, 'fake-1']) await pool.adopt(id as DeviceId);
  const service = new PredictorService({ store, pool, clock, profilesDir });
  t.teardown(async () => {
    await service.stop();
    await pool.stop();
    await store.close();
  });
  /** Waits for a campaign; the predictor it made. */
  const ended = async (id: string): Promise<PredictorId> => {
    for (;;) {
      const campaign = service.campaign(id);
      if (campaign.state === 'failed') throw campaign.error;
      if (campaign.predictorId) return campaign.predictorId;
      await clock.sleep(5, { signal });
    }
  };
  const request = { device, space: 'mbconv-fmnist', samples: 24, seed: 3, protocol: 'quick', profile: true };
  return { store, pool, service, ended, request };
}

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
  t.ok((additivity?.biasPercent ?? 0) < 0, 'the parts miss the fixed 20 us of a run');
  t.ok(tableSum(named.table, named.table.keys()) > 0);
  t.throws(() => tableSum(named.table, ['Conv of nowhere']), { code: 'TABLE_INCOMPLETE' });
  const blocks = (await service.table(id, 'blocks')).named;
  t.ok([...blocks.table.keys()].every((key) => /^[A-Za-z_1]+-input:/.test(key)));
  t.throws(() => formatTable(blocks, 'ofa'), { code: 'TABLE_INVALID' }, 'cycles are no milliseconds');
  const back = parseTable(formatTable(blocks, 'hilda'), 'hilda', '');
  t.same([...back.table.keys()], [...blocks.table.keys()]);

  const before = (await store.measurements({ limit: 1000 })).length;
  await ended((await service.train({ ...request, profile: false })).id);
  t.equal(
    (await store.measurements({ limit: 1000 })).length,
    before,
    'valid measurements are not taken twice',
  );
});

/** Every key of the space in milliseconds, as a published table would hold it. */
function publishedTable(keyed: Space, networks: readonly Architecture[]): string {
  const keys = new Set(networks.flatMap((a) => (keyed.blocks?.(a) ?? []).map(({ key }) => key)));
  return [...keys]
    .map(
      (key) =>
        `${key}: {count: 9, mean: ${(key.length + Number(/kernel:(.)/.exec(key)?.[1] ?? 1)) / 1000}, var: 0.000001}`,
    )
    .join('\n');
}

t.test(
  'an imported table predicts, is refused where it must be, and learns from whole networks',
  async (t) => {
    const { store, pool, service, ended } = await openService(t);
    const rng = Xoshiro128.fromSeed(12);
    const networks = Array.from({ length: 400 }, () => space.sample(rng));
    const text = publishedTable(space, networks);
    const request = {
      files: [{ name: 'note10.yaml', text }],
      format: 'proxylessnas',
      device,
      space: 'mbconv-fmnist',
      protocol: 'quick',
    } as const;
    const { record } = await service.importTable(request);
    const imported = await service.open(record.id);
    t.equal(imported.body.provenance, 'imported');
    t.equal(imported.score(), null, 'nothing is claimed that was not compared');
    t.match(imported.cautions().join(), /note10\.yaml.*factor of 2/);
    t.same(predictorFigures(imported), {
      pairs: [],
      residualsByType: [],
      reliability: [],
      learningCurve: [],
    });
    const asked = networks.slice(0, 3);
    const sums = asked.map((a) =>
      tableSum(
        parseTable(text, 'proxylessnas', '').table,
        (space.blocks?.(a) ?? []).map((b) => b.key),
      ),
    );
    const said = imported.predict(asked);
    t.same([...said.mean], sums, 'microseconds of a table in milliseconds');
    t.ok(
      said.low.every((low, i) => low < sums[i]! / 2 && said.high[i]! > 2 * sums[i]!),
      'wide, not silent',
    );
    const { named, additivity } = await service.table(record.id);
    t.equal(additivity, null);
    t.match(named, { provenance: 'imported', unit: 'us', source: 'note10.yaml' });
    t.equal(parseTable(formatTable(named, 'ofa'), 'ofa', '').table.size, named.table.size);
    await t.rejects(service.table(record.id, 'operators'), { code: 'PREDICTOR_UNFIT' });

    // What is missing is named, and no study starts on it.
    const [gone = '', ...rest] = text
      .split('\n')
      .sort((a, b) => Number(b.includes('kernel:5')) - Number(a.includes('kernel:5')));
    const some = await service.importTable({ ...request, files: [{ name: 'some', text: rest.join('\n') }] });
    const key = gone.split(':').slice(0, -4).join(':');
    const needs = networks.find((a) => space.blocks?.(a).some((b) => b.key === key)) as Architecture;
    await t.rejects(service.predict(some.record.id, [needs]), {
      code: 'TABLE_INCOMPLETE',
      details: { missing: [key] },
    });
    const about = { spaceId: space.id, metric: 'latencyUs', deviceId: device as DeviceId };
    await t.rejects(service.prior(some.record.id, about), { code: 'TABLE_INCOMPLETE' });
    await t.rejects(service.prior(record.id, { ...about, metric: 'cycles' }), { code: 'SPEC_INVALID' });
    t.match(some.cautions().join(), /lacks 1 keys/);
    for (const [code, change] of [
      ['TABLE_INVALID', { files: [{ name: '', text: 'Conv of nowhere: {count: 1, mean: 1, var: 0}' }] }],
      ['TABLE_INVALID', { files: [{ name: '', text: '{}' }] }],
      ['TABLE_INVALID', { format: 'ofa' }],
      [
        'TABLE_INVALID',
        { files: [...request.files, { name: 'b', text: `${key}: {count: 1, mean: 77, var: 0}` }] },
      ],
      [
        'TABLE_INCOMPLETE',
        { files: [{ name: '', text: 'Logits-input:9x9x9-output:10: {count: 1, mean: 1, var: 0}' }] },
      ],
      ['TABLE_INCOMPLETE', { format: 'fbnet', files: [{ name: '', text: 'k3e3 k9e9\n1 2' }] }],
      ['SPACE_INVALID', { space: 'vit-fmnist' }],
      ['DEVICE_UNKNOWN', { device: 'none' }],
      [
        'TARGET_MISMATCH',
        {
          format: 'hilda',
          files: [{ name: 'x', text: formatTable({ ...named, target: '{"other":1}' }, 'hilda') }],
        },
      ],
    ] as const)
      await t.rejects(
        service.importTable({ ...request, ...change }),
        { code },
        JSON.stringify(change).slice(0, 80),
      );

    // Probed, it learns how its sums lie to whole networks.
    await ended((await service.probe(record.id, 12, 5)).id);
    const learnt = await service.refit(record.id);
    t.match(learnt.score(), { n: 12 });
    const truth = asked.map((a) => fakeLatencyUs(space.network(a)));
    t.ok(
      learnt.predict(asked).mean.every((m, i) => Math.abs(m / truth[i]! - 1) < 0.35),
      'now it knows the device',
    );
    t.ok(Math.abs(said.mean[0]! / truth[0]! - 1) > 0.35, 'before it did not');

    // A study starts from it.
    const studies = new StudyService({ store, pool, clock, profilesDir, predictors: service });
    const spec = testSpec({
      predictors: [{ metric: 'latencyUs', predictor: (await service.importTable(request)).record.id }],
      budget: { trials: 4 },
      batch: 2,
    });
    const study = await studies.create(spec);
    await studies.settled(study.id);
    const [first] = await store.trials(study.id);
    const predicted = first?.predicted.latencyUs;
    const own = tableSum(
      named.table,
      (space.blocks?.(first?.architecture as Architecture) ?? []).map((b) => b.key),
    );
    t.equal(predicted?.mean, own, 'the first trial was predicted before anything was measured');
    await t.rejects(studies.create({ ...spec, predictors: [{ metric: 'accuracy', predictor: record.id }] }), {
      code: 'SPEC_INVALID',
    });
  },
);

t.test("Once-for-all's tables come one a resolution", async (t) => {
  const { service } = await openService(t);
  const ofa = loadSpace(findSpace('ofa-mobilenetv3', profilesDir));
  const rng = Xoshiro128.fromSeed(2);
  const at = (r: number) => Array.from({ length: 300 }, () => (ofa.sample(rng) as number[]).with(0, r));
  const fileOf = (r: number) => ({
    name: `${r}.yaml`,
    text: publishedTable(ofa, at(r)).replaceAll('var', 'std'),
  });
  const request = {
    files: [fileOf(6)],
    format: 'ofa',
    device,
    space: 'ofa-mobilenetv3',
    protocol: 'quick',
  } as const;
  const { record } = await service.importTable(request);
  const [large] = at(6);
  const [small] = at(0);
  t.ok((await service.predict(record.id, [large as Architecture])).mean[0]! > 0);
  await t.rejects(service.predict(record.id, [small as Architecture]), { code: 'TABLE_INCOMPLETE' });
  const both = await service.importTable({ ...request, files: [fileOf(6), fileOf(0)] });
  t.equal(both.predict([small as Architecture, large as Architecture]).mean.length, 2);
  const blocks = ofa.blocks?.(large as Architecture) ?? [];
  t.same(
    [blocks[0], blocks[1], ...blocks.slice(-4)].map((b) => b?.key),
    [
      'Conv-input:224x224x3-output:112x112x24',
      'expanded_conv-input:112x112x24-output:112x112x24-expand:24-kernel:3-stride:1-idskip:1-se:0-hs:0',
      'Conv_1-input:7x7x192-output:7x7x1152',
      'AvgPool2D-input:7x7x1152-output:1x1x1152',
      'Conv_2-input:1x1x1152-output:1x1x1536',
      'Logits-input:1x1x1536-output:1000',
    ],
  );
  const network = ofa.network(small as Architecture);
  const executed = network.nodes.map((node) => ({
    name: node.name || (node.outputs[0] as string),
    op: node.op,
    cost: 1,
    outputBytes: 0,
  }));
  const smallBlocks = ofa.blocks?.(small as Architecture) ?? [];
  const parts = blockParts(executed, network, smallBlocks);
  t.equal(parts.find(({ key }) => key.startsWith('AvgPool2D'))?.cost, 1, 'one operator, of no constants');
  t.ok(parts.every(({ cost }) => cost > 0));
});

t.test('an active campaign measures the front, what tells most, and an audit', async (t) => {
  const { service, ended, request } = await openService(t);
  const active = { ...request, samples: 40, profile: false, choice: 'active' } as const;
  const campaign = await service.train(active);
  const id = await ended(campaign.id);
  const { reasons } = service.campaign(campaign.id);
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
  const all = await service.open(await ended((await service.train({ ...active, choice: 'random' })).id));
  t.same(
    all.body.samples.slice(0, 20).map(({ architecture }) => JSON.stringify(architecture)),
    chosen.slice(0, 20),
    'the first twenty are the same',
  );
  // Cost against multiply-accumulates, over all that were measured.
  const points = [predictor, all].map(({ body }) =>
    body.samples.slice(20).map(({ architecture, value }) => ({
      cost: value,
      macs: space.stats(architecture as Architecture).macs,
    })),
  );
  const dominated = (p: { cost: number; macs: number }): boolean =>
    points.flat().some((q) => q.cost < p.cost && q.macs > p.macs);
  const [byChoice = 0, byChance = 0] = points.map((list) => list.filter((p) => !dominated(p)).length);
  t.ok(byChoice > byChance, `${byChoice} of the front were chosen, ${byChance} came at random`);
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
  const schedules = new ProbeSchedules({ store, predictors: service, clock });
  const plan = { cron: '* * * * * *', count: 8, refit: true };
  await t.rejects(schedules.set(id, { ...plan, cron: 'each night' }), { code: 'SCHEDULE_INVALID' });
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
  await schedules.stop();
  t.match((await schedules.of(id))?.last, { outcome: 'steady' });

  // Next day the device is a third slower; another daemon finds the schedule in the store.
  const { live, ...body } = (await service.open(id)).body;
  const slower = { ...body, live: live.map((l) => ({ ...l, measured: 1.35 * l.measured })) };
  await store.updatePredictor(id, slower as unknown as Json);
  const before = (await probes(1)).length;
  const next = new ProbeSchedules({ store, predictors: service, clock });
  await next.start();
  t.equal((await probes(before + 1))[before]?.outcome, 'drifted');
  await next.clear(id);
  t.equal(await next.of(id), null);
  t.equal((await service.open(id)).drift().state, 'too-few', 'it was refitted at once');
});

t.test('what cannot be answered is refused by name', async (t) => {
  const { store, service, ended, request } = await openService(t);
  await t.rejects(service.train({ ...request, device: 'none' }), { code: 'DEVICE_UNKNOWN' });
  await t.rejects(service.train({ ...request, space: 'none' }), { code: 'NOT_FOUND' });
  await t.rejects(service.train({ ...request, protocol: 'none' }), { code: 'PROTOCOL_UNKNOWN' });
  t.throws(() => service.campaign('9'), { code: 'NOT_FOUND' });
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
