import t from 'tap';
import type { Architecture } from '../../daemon/core/architecture.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { fakeLatencyUs } from '../../daemon/devices/fake/device.js';
import { tableSum } from '../../daemon/predict/tables/latency-table.js';
import { formatTable, parseTable } from '../../daemon/predict/tables/table-formats.js';
import { blockParts } from '../../daemon/predictors/operator-parts.js';
import { predictorFigures } from '../../daemon/predictors/predictor-figures.js';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { findSpace } from '../../daemon/study/parts.js';
import { StudyService } from '../../daemon/study/service.js';
import { testSpec } from '../study/bench.js';
import { clock, device, openService, profilesDir, space } from './bench.js';

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
    const { store, pool, jobs, service, ended } = await openService(t);
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
    const studies = new StudyService({ store, pool, jobs, clock, profilesDir, predictors: service });
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
