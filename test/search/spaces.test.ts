import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { type Architecture, architectureId } from '../../daemon/core/architecture.js';
import type { Json } from '../../daemon/core/json.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import { countCost } from '../../daemon/network/cost.js';
import { elementCount, floatsOf } from '../../daemon/network/graph.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import type { DecisionTree } from '../../daemon/search/spaces/contract.js';
import { type Module, moduleCount } from '../../daemon/search/spaces/einspace/grammar.js';
import { ofaFileSchema } from '../../daemon/search/spaces/ofa/file.js';
import { fromNetConfig } from '../../daemon/search/spaces/ofa/ofa.js';
import { instatuneSpace } from '../../daemon/search/spaces/papers/instatune.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { runSpaceContract } from '../contract/space-contract.js';

t.setTimeout(900_000);

const folder = fileURLToPath(new URL('../../../profiles/spaces/', import.meta.url));
const file = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(`${folder}${name}.json`, 'utf8'));
const shipped = readdirSync(folder).map((name) => name.replace(/\.json$/, ''));

/** Too large to be built by the dozen in a test. */
const isLarge = (name: string): boolean => /imagenet|tiny|ofa|nasbench201$/.test(name);

// SPACE=name runs the contract of one alone.
for (const name of shipped.filter((known) => known === (process.env.SPACE ?? known))) {
  t.test(name, async (t) => {
    const space = loadSpace(file(name));
    t.equal(space.id, name);
    await runSpaceContract(t, space, isLarge(name) ? 4 : 30);
  });
}

t.test('every space runs in onnxruntime: seeds and samples, outputs as inferred', async (t) => {
  const runtime = new SessionProcess({ memoryLimitBytes: null });
  t.teardown(() => runtime.stop());
  for (const name of shipped.filter((known) => known === (process.env.SPACE ?? known))) {
    const space = loadSpace(file(name));
    const rng = Xoshiro128.fromSeed(9);
    const large = isLarge(name);
    const samples = Array.from({ length: large ? 1 : 8 }, () => space.sample(rng));
    for (const architecture of [...(large ? [] : (space.seeds?.() ?? [])), ...samples]) {
      const graph = space.network(architecture);
      const { handle } = await runtime.load(writeOnnx(graph), { arena: false });
      const feeds = Object.fromEntries(
        graph.inputs.map(({ name: input, dims }) => {
          const data = new Float32Array(elementCount(dims as number[])).fill(0.1);
          return [input, { type: 'float32' as const, dims: dims as number[], data }];
        }),
      );
      const answers = await runtime.run(handle, feeds);
      for (const output of graph.outputs) {
        const answer = answers[output.name];
        t.same(answer?.dims, output.dims, `${name}: ${output.name}`);
        const data = answer?.data as Float32Array;
        t.ok(data.every(Number.isFinite), `${name}: finite`);
      }
      await runtime.release(handle);
    }
  }
});

t.test(
  'einspace: what is drawn runs, its seeds are derivations, decisions replay to the same network',
  async (t) => {
    const space = loadSpace(file('einspace-mini'));
    const [resnet, transformer, mlp] = space.seeds?.() ?? [];
    const operators = (a: Architecture) => new Set(space.network(a).nodes.map(({ op }) => op));
    t.ok(operators(resnet!).has('Conv') && operators(resnet!).has('Add'), 'a residual convolution block');
    t.ok(operators(transformer!).has('Softmax') && operators(transformer!).has('LayerNormalization'));
    t.ok(operators(mlp!).has('MatMul') && !operators(mlp!).has('Softmax'));
    const rng = Xoshiro128.fromSeed(4);
    const tree = space.tree as DecisionTree;
    for (const architecture of [
      resnet!,
      transformer!,
      mlp!,
      ...Array.from({ length: 100 }, () => space.sample(rng)),
    ]) {
      const decisions = tree.decisions(architecture);
      t.equal(tree.choices(decisions), 0);
      t.ok(decisions.every((d, i) => i > 20 || tree.choices(decisions.slice(0, i)) > d));
      const replayed = JSON.parse(JSON.stringify(tree.architecture(decisions)));
      t.equal(structureHash(space.network(replayed)), structureHash(space.network(architecture)));
      t.equal(architectureId(space.id, replayed), architectureId(space.id, architecture));
    }
    t.throws(() => tree.architecture([99]), { code: 'ARCHITECTURE_INVALID' });
  },
);

t.test('einspace: repeated parts cannot blow a network up', async (t) => {
  const space = loadSpace({ ...file('einspace-mini'), maxModules: 100 });
  const eight = (part: Json): Json => ({ m: 'branch', split: 'clone', ways: 8, parts: [part], join: 'add' });
  const norm = { m: 'comp', f: 'norm' };
  t.ok(space.network({ root: eight(eight(norm)) }).nodes.length > 64, '73 modules');
  t.throws(() => space.network({ root: eight(eight(eight(norm))) }), { code: 'ARCHITECTURE_INVALID' });
  const rng = Xoshiro128.fromSeed(6);
  const most = (a: Architecture): number => moduleCount((a as { root: unknown }).root as Module);
  const draws = Array.from({ length: 500 }, () => space.sample(rng));
  t.ok(Math.max(...draws.map(most)) <= 200, 'canonical forms take up to twice the modules drawn');
  t.ok(draws.some((a) => most(a) > 50));
  for (const a of draws.slice(0, 100)) t.ok(most(space.mutate(a, rng)) <= 200);
});

t.test(
  'instatune: heads and hidden widths of a user’s network become decisions, and slices run',
  async (t) => {
    const source = loadSpace(file('vit-fmnist'));
    const given = source.network(source.seeds?.().at(-1) as Architecture);
    const space = instatuneSpace('mine', given);
    const kinds = space.dims?.map(({ name }) => name.split('.').at(-1)) ?? [];
    t.ok(kinds.filter((kind) => kind === 'heads').length >= 2, kinds.join(' '));
    t.ok(kinds.filter((kind) => kind === 'hidden').length >= 2);
    await runSpaceContract(t, space, 8);
    const whole = space.network(space.seeds?.().at(-1) as Architecture);
    t.equal(structureHash(whole), structureHash(given), 'the widest is the given network');
    const smallest = space.network(space.seeds?.()[0] as Architecture);
    t.ok(countCost(smallest).macs < 0.6 * countCost(given).macs);
    for (const [name, tensor] of smallest.initializers) {
      const full = given.initializers.get(name);
      if (!full || tensor.dtype !== 'float32' || tensor.dims.length === 0) continue;
      t.equal(floatsOf(tensor)[0], floatsOf(full)[0], `${name} begins where the given one does`);
      t.ok(tensor.dims.every((size, axis) => size <= (full.dims[axis] as number)));
    }
    const runtime = new SessionProcess({ memoryLimitBytes: null });
    t.teardown(() => runtime.stop());
    const input = { type: 'float32' as const, dims: [1, 1, 28, 28], data: new Float32Array(784).fill(0.3) };
    const answers = await Promise.all(
      [given, whole, smallest].map(async (graph) => {
        const { handle } = await runtime.load(writeOnnx(graph));
        return (await runtime.run(handle, { input })).logits?.data as Float32Array;
      }),
    );
    t.same(answers[0], answers[1]);
    t.equal(answers[2]?.length, 10);
    t.throws(() => instatuneSpace('none', loadSpace(file('mbconv-fmnist')).network([0, 0, 0, 0, 0, 0, 0])), {
      code: 'SPACE_INVALID',
    });
  },
);

t.test('the published spaces have their published size and cost', async (t) => {
  // ProxylessNAS: 6 blocks with 6 candidates, 15 with 7.
  t.equal(loadSpace(file('proxylessnas-imagenet')).size, 6 ** 6 * 7 ** 15);
  const mcuformer = loadSpace(file('mcuformer-tiny'));
  t.equal(mcuformer.size, 5 * 3 * 12 * (4 ** 12 + 4 ** 13 + 4 ** 14));
  // E192, 3 heads, ratio 4, depth 12, patch 16, rank 0.9: 5.1 M parameters at two factors and rank 0.6 (algorithms 2.1).
  const at = (rank: number): number =>
    mcuformer.stats([0, 1, rank, 0, ...Array(12).fill([0, 1]).flat(), 0, 0, 0, 0]).parameters;
  t.ok(Math.abs(at(0) / 3.5e6 - 1) < 0.12, `rank 0.4: ${at(0)}`);
  t.ok(Math.abs(at(10) / 7.48e6 - 1) < 0.12, `rank 0.9: ${at(10)}`);
});

t.test('Once-for-all: a net.config is an architecture; blocks of another space are refused', async (t) => {
  const ofa = ofaFileSchema.parse(file('ofa-mobilenetv3'));
  const space = loadSpace(file('ofa-mobilenetv3'));
  const [kernels, expansions] = [
    [3, 5, 7, 3, 5, 7, 3, 5, 7, 3],
    [3, 4, 6, 6, 4, 3, 3, 4, 6, 6],
  ];
  const inverted = (from: number, to: number, i: number, stride: number) => ({
    mobile_inverted_conv: {
      in_channels: from,
      out_channels: to,
      kernel_size: kernels[i],
      stride,
      expand_ratio: expansions[i],
      mid_channels: null,
    },
    shortcut: null,
  });
  const first = { ...inverted(24, 24, 0, 1) };
  const widths = [32, 48, 96, 136, 192];
  const blocks = widths.flatMap((width, s) => [
    inverted(widths[s - 1] ?? 24, width, 2 * s, 2),
    inverted(width, width, 2 * s + 1, 1),
  ]);
  const config = { name: 'MobileNetV3', blocks: [first, ...blocks] };
  const architecture = space.normalise(fromNetConfig(ofa, config, 176));
  const named = (name: string): unknown => {
    const i = space.dims?.findIndex((dim) => dim.name === name) as number;
    return space.dims?.[i]?.choices[(architecture as readonly number[])[i] as number];
  };
  t.same([named('resolution'), named('stage1.depth'), named('stage5.depth')], [176, 2, 2]);
  t.same([named('stage2.layer1.kernel'), named('stage2.layer1.expansion')], [7, 6]);
  t.same([named('stage5.layer2.kernel'), named('stage5.layer2.expansion')], [3, 6]);
  const foreign = { blocks: [first, inverted(24, 40, 1, 2)] };
  t.throws(() => fromNetConfig(ofa, foreign, 176), { code: 'ARCHITECTURE_INVALID' });
  t.throws(() => fromNetConfig(ofa, config, 100), { code: 'ARCHITECTURE_INVALID' }, 'another resolution');
  t.throws(() => fromNetConfig(ofa, { layers: [] }, 176), { code: 'ARCHITECTURE_INVALID' });
});

t.test('NAS-Bench-201: cells that compute the same are one architecture', async (t) => {
  const space = loadSpace(file('nasbench201-mcu'));
  // A 3x3 convolution on 0>3; through node 1 by a skip; through node 2 after one.
  for (const cell of [
    [0, 0, 0, 3, 0, 0],
    [1, 0, 0, 0, 3, 0],
    [3, 0, 0, 0, 1, 0],
    [0, 1, 0, 0, 0, 3],
  ])
    t.same(space.normalise(cell), space.normalise([0, 0, 0, 3, 0, 0]));
  // The inner nodes are exchangeable where no edge joins them.
  t.same(space.normalise([3, 2, 0, 0, 4, 1]), space.normalise([2, 3, 0, 0, 1, 4]));
  t.throws(() => space.normalise([3, 0, 0, 0, 0, 0]), { code: 'ARCHITECTURE_INVALID' }, 'a dead cell');
  t.ok(space.size > 5000 && space.size < 7000, `${space.size} different networks of 15,625 cells`);
});

t.test('features are fast: a search asks for thousands', async (t) => {
  const space = loadSpace(file('mbconv-fmnist'));
  const [smallest, largest] = space.seeds?.() ?? [];
  t.ok(space.stats(largest!).macs >= 4 * space.stats(smallest!).macs, 'a factor of four in MACs at least');
  t.same(space.features(smallest!).get('macs'), countCost(space.network(smallest!)).macs);
});

t.test('a wrong file names each wrong field', async (t) => {
  const good = file('mbconv-fmnist');
  const wrong = { ...good, kernels: [4], surprise: 1, stages: [{ width: 0, layers: 1, stride: 3 }] };
  try {
    loadSpace(wrong);
    t.fail('accepted');
  } catch (error) {
    const { code, details } = error as { code: string; details: { fields: string[] } };
    t.equal(code, 'SPACE_INVALID');
    for (const path of ['kernels.0', 'stages.0.width', 'stages.0.stride', 'surprise'])
      t.ok(
        details.fields.some((f) => f.includes(path)),
        path,
      );
  }
  t.throws(() => loadSpace({ ...good, kernels: [3, 5, 3] }), { code: 'SPACE_INVALID' }, 'one choice twice');
  t.throws(() => loadSpace({ ...file('vit-fmnist'), heads: [2, 2] }), { code: 'SPACE_INVALID' });
  for (const bad of [null, {}, { kind: 'cube' }, [], 'mbconv'])
    t.throws(() => loadSpace(bad), { code: 'SPACE_INVALID' });
});

t.test('networks with more weights than a model may have are refused before they are made', (t) => {
  const stages = Array.from({ length: 12 }, () => ({ width: 4096, layers: 12, stride: 1 }));
  const hourglass = { ...file('hourglass-mlp'), widths: [65_536] };
  for (const wide of [
    { ...hourglass, bottlenecks: [65_536], depths: [32] },
    { ...hourglass, input: [3, 256, 256], bottlenecks: [8], depths: [1] },
    { ...file('mbconv-fmnist'), stages, headWidth: 4096 },
    { ...file('vit-fmnist'), input: [1, 4096, 4096], patches: [1], embeddings: [4096] },
  ]) {
    const space = loadSpace(wide);
    const architecture = space.sample(Xoshiro128.fromSeed(1));
    for (const ask of [() => space.network(architecture), () => space.stats(architecture)])
      t.throws(ask, { code: 'NETWORK_TOO_LARGE' }, space.id);
  }
  const space = loadSpace({ ...hourglass, bottlenecks: [8], depths: [1] });
  const network = space.network(space.sample(Xoshiro128.fromSeed(1)));
  const sizes = [...network.initializers.values()].map(({ data }) => data.length);
  t.equal(Math.max(...sizes), 4 * 784 * 65_536, 'wide networks within the limit are built');
  t.end();
});
