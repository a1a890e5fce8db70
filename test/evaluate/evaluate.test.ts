import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import type { Architecture } from '../../daemon/core/architecture.js';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import { recalibrate } from '../../daemon/evaluate/recalibrate.js';
import { createEvaluator } from '../../daemon/evaluate/registry.js';
import { SupernetEvaluator } from '../../daemon/evaluate/supernet.js';
import { floatsOf } from '../../daemon/network/graph.js';
import { withBatch } from '../../daemon/network/with-batch.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { randomWeights } from '../../daemon/search/spaces/parts/random-weights.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { readTensorFile } from '../../daemon/train/weights/checkpoint.js';

const profilesDir = fileURLToPath(new URL('../../../profiles', import.meta.url));
const spaceNamed = (name: string) =>
  loadSpace(JSON.parse(readFileSync(`${profilesDir}/spaces/${name}.json`, 'utf8')));
const space = spaceNamed('mbconv-fmnist');
const { signal } = new AbortController();

/** Noise images with labels; enough to exercise the arithmetic. */
function images(count: number, seed: number) {
  const rng = Xoshiro128.fromSeed(seed);
  const pixels = Float32Array.from({ length: count * 784 }, () => gaussian(rng));
  return {
    count,
    channels: 1,
    height: 28,
    width: 28,
    pixels,
    labels: Uint8Array.from({ length: count }, (_, i) => i % 10),
  };
}

async function logitsOf(
  runtime: SessionProcess,
  graph: Parameters<typeof withBatch>[0],
  input: ReturnType<typeof images>,
): Promise<Float32Array> {
  const { handle } = await runtime.load(writeOnnx(withBatch(graph, input.count)));
  const feeds = { input: { type: 'float32' as const, dims: [input.count, 1, 28, 28], data: input.pixels } };
  return (await runtime.run(handle, feeds)).logits?.data as Float32Array;
}

t.test('recalibration gives each normalisation the statistics of its own input', async (t) => {
  const runtime = new SessionProcess();
  t.teardown(() => runtime.stop());
  const batch = images(64, 1);
  const graph = space.network(space.sample(Xoshiro128.fromSeed(5)), randomWeights);
  const fixed = await recalibrate(graph, batch, runtime, { signal });
  // A second pass finds what the first one wrote: the statistics are a fixed point on the same images.
  const again = await recalibrate(fixed, batch, runtime, { signal });
  const statistics = [...graph.initializers.keys()].filter((name) => /\.(mean|var)$/.test(name));
  t.ok(statistics.length >= 20, `${statistics.length} statistics`);
  for (const name of statistics) {
    const [one, two] = [floatsOf(fixed.initializers.get(name)!), floatsOf(again.initializers.get(name)!)];
    t.ok(
      one.every((value, i) => Math.abs(value - two[i]!) <= 1e-4 * (1 + Math.abs(value))),
      name,
    );
  }
  // The stem by hand: mean over batch and space of the convolution's output.
  const stem = {
    ...graph,
    nodes: graph.nodes.slice(0, 1),
    outputs: [{ name: graph.nodes[0]!.outputs[0]!, dtype: 'float32' as const, dims: [1, 12, 14, 14] }],
  };
  const { handle } = await runtime.load(writeOnnx(withBatch(stem, 64)));
  const out = (
    await runtime.run(handle, { input: { type: 'float32', dims: [64, 1, 28, 28], data: batch.pixels } })
  )[stem.outputs[0]!.name]!.data as Float32Array;
  const channel = (c: number): number[] =>
    Array.from({ length: 64 }, (_, n) => [
      ...out.subarray((n * 12 + c) * 196, (n * 12 + c + 1) * 196),
    ]).flat();
  const mean = channel(3).reduce((a, b) => a + b, 0) / (64 * 196);
  const variance = channel(3).reduce((sum, value) => sum + (value - mean) ** 2, 0) / (64 * 196);
  t.ok(Math.abs(floatsOf(fixed.initializers.get('stem.bn.mean')!)[3]! - mean) < 1e-4);
  t.ok(Math.abs(floatsOf(fixed.initializers.get('stem.bn.var')!)[3]! / variance - 1) < 1e-3);

  const vit = spaceNamed('vit-fmnist');
  const transformer = vit.network(vit.sample(Xoshiro128.fromSeed(2)));
  t.equal(
    await recalibrate(transformer, batch, runtime, { signal }),
    transformer,
    'nothing to do without batch normalisation',
  );
});

t.test('a super-network scores what it would export, in batches of any size', async (t) => {
  const validation = images(70, 3);
  const make = (batch: number) =>
    new SupernetEvaluator({
      space,
      weights: randomWeights,
      calibration: images(64, 1),
      validation,
      source: 'noise',
      batch,
    });
  const architecture = space.sample(Xoshiro128.fromSeed(8));
  const scores: number[] = [];
  for (const batch of [70, 32, 7]) {
    const evaluator = make(batch);
    const { values, source } = await evaluator.evaluate(architecture, { signal });
    scores.push(values.accuracy!);
    t.match(source, /70 images/);
    if (batch === 32) {
      const runtime = new SessionProcess();
      const logits = await logitsOf(runtime, await evaluator.network(architecture, { signal }), validation);
      const right = validation.labels.filter((label, i) => {
        const row = [...logits.subarray(10 * i, 10 * i + 10)];
        return row.indexOf(Math.max(...row)) === label;
      }).length;
      t.equal(values.accuracy, right / 70);
      await runtime.stop();
    }
    await evaluator.close();
  }
  t.same(scores, Array(3).fill(scores[0]));
});

t.test(
  'what a device changes is counted on some images, and added to what the float network gets on all',
  async (t) => {
    const validation = images(70, 3);
    const make = (deployedImages: number) =>
      new SupernetEvaluator({
        space,
        weights: randomWeights,
        calibration: images(64, 1),
        validation,
        source: 'noise',
        deployedImages,
      });
    const evaluator = make(40);
    t.teardown(() => evaluator.close());
    const architecture = space.sample(Xoshiro128.fromSeed(8));
    const float = await evaluator.rightAnswers(architecture, { signal });
    const share = (list: Iterable<number>): number => [...list].reduce((a, b) => a + b, 0) / [...list].length;
    // A device that knows every answer, and one that is right where the float network is.
    const ask = (answer: (i: number) => number) =>
      evaluator.deployed(
        architecture,
        async (network, { values, count, ranges }) => {
          t.equal(count, 40);
          t.equal(values.length, 40 * 784);
          const input = network.inputs[0]!.name;
          const { min, max } = (await ranges(network, [input])).get(input)!;
          t.ok(min < -2 && max > 2, 'of the calibration images');
          return Array.from({ length: count }, (_, i) => answer(i));
        },
        { signal },
      );
    const perfect = await ask((i) => validation.labels[i]!);
    t.match(perfect.source, /float on 70 images, int8 on 40/);
    const { ci, images: all, compared } = perfect.evidence!.accuracy!;
    t.same([all, compared], [70, 40]);
    t.ok(ci![0] <= perfect.values.accuracy! && perfect.values.accuracy! <= ci![1]);
    t.same([...perfect.answers!.accuracy!.right], Array(40).fill(1), 'image by image');
    const scored = await evaluator.evaluate(architecture, { signal });
    t.same([...scored.answers!.accuracy!.right], [...float]);
    t.equal(
      scored.answers!.accuracy!.set,
      perfect.answers!.accuracy!.set,
      'the same images in the same order',
    );
    t.ok(ci![1] - ci![0] > scored.evidence!.accuracy!.ci![1] - scored.evidence!.accuracy!.ci![0]);
    const missed = 40 - float.subarray(0, 40).reduce((a, b) => a + b, 0);
    t.ok(Math.abs(perfect.values.accuracy! - Math.min(1, share(float) + missed / 40)) < 1e-9);
    const same = await ask((i) => (float[i] ? validation.labels[i]! : -1));
    t.ok(Math.abs(same.values.accuracy! - share(float)) < 1e-9);

    const off = make(0);
    t.same((await off.deployed(architecture, async () => [], { signal })).values, {});
    await off.close();
  },
);

async function script(t: Test, text: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-evaluate-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'score.mjs');
  await writeFile(file, text);
  return [process.execPath, file];
}

t.test('a command scores; its failures have codes', async (t) => {
  const run = async (text: string, o: { timeoutMs?: number; signal?: AbortSignal } = {}) => {
    const evaluator = await createEvaluator(
      { kind: 'command', command: await script(t, text), timeoutMs: o.timeoutMs ?? 20_000 },
      { space, profilesDir },
    );
    return evaluator.evaluate([1, 2, 3] as Architecture, { signal: o.signal ?? signal });
  };
  const echo = `import fs from 'node:fs'; const a = JSON.parse(fs.readFileSync(0)).architecture;
    console.log(JSON.stringify({ accuracy: a.length / 10, secrets: 'HILDA_SECRET' in process.env ? 1 : 0 }));`;
  process.env.HILDA_SECRET = 'not for commands';
  const { values } = await run(echo);
  t.equal(values.accuracy, 0.3);
  t.equal(values.secrets, 0, 'the environment is cleared');
  const said = (accuracy: unknown) =>
    run(`console.log(JSON.stringify({ accuracy: ${JSON.stringify(accuracy)} }))`);
  const { evidence: bare } = await said(0.9);
  t.equal(bare?.accuracy?.ci, null, 'a bare number has no interval');
  const counted = (await said({ value: 0.8125, images: 16 })).evidence?.accuracy;
  t.equal(counted?.images, 16);
  t.ok(Math.abs(counted!.ci![0] - 0.5435) < 1e-4 && Math.abs(counted!.ci![1] - 0.9595) < 1e-4);
  t.same((await said({ value: 0.9, ci: [0.85, 0.93] })).evidence?.accuracy?.ci, [0.85, 0.93]);
  for (const wrong of [
    91.5,
    -0.1,
    { value: 91.5, images: 100 },
    { value: 0.9, ci: [0.91, 0.93] },
    { value: 0.9 },
  ])
    await t.rejects(said(wrong), { code: 'EVALUATION_FAILED' }, JSON.stringify(wrong));
  delete process.env.HILDA_SECRET;
  await t.rejects(run('setInterval(() => {}, 1000)', { timeoutMs: 300 }), {
    code: 'EVALUATION_FAILED',
    message: /no answer within 300 ms/,
  });
  for (const text of ['console.log("fine")', 'process.exit(3)', 'console.log(\'{"latencyUs": 3}\')'])
    await t.rejects(run(text), { code: 'EVALUATION_FAILED' }, text);
  await t.rejects(run(echo, { signal: AbortSignal.abort() }), { code: 'INTERRUPTED' });
});

t.test('a table answers for what it holds', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-table-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'table.json');
  await writeFile(file, JSON.stringify([{ architecture: [0, 1], values: { accuracy: 0.75 } }]));
  const evaluator = await createEvaluator({ kind: 'table', file, source: 'a test' }, { space, profilesDir });
  t.same(evaluator.metrics, ['accuracy']);
  t.same(await evaluator.evaluate([0, 1], { signal }), {
    values: { accuracy: 0.75 },
    source: 'imported: a test',
  });
  await t.rejects(evaluator.evaluate([1, 1], { signal }), { code: 'ARCHITECTURE_INVALID' });
  for (const [values, message] of [
    [{ accuracy: 91.5 }, /row 2 .*accuracy 91.5: not a share/],
    [{ accuracy: 0.5, latencyUs: 3 }, /row 2 .*it has not accuracy$/],
    [{}, /row 2/],
  ] as const) {
    await writeFile(
      file,
      JSON.stringify([
        { architecture: [0, 1], values: { accuracy: 0.75 } },
        { architecture: [1, 1], values },
      ]),
    );
    const opened = createEvaluator({ kind: 'table', file, source: 'x' }, { space, profilesDir });
    await t.rejects(opened, { code: 'SPEC_INVALID', message });
  }
  await writeFile(file, '[]');
  await t.rejects(createEvaluator({ kind: 'table', file, source: 'x' }, { space, profilesDir }), {
    code: 'SPEC_INVALID',
  });
});

t.test('what cannot be opened is refused', async (t) => {
  const dir = t.testdir({ 'short.safetensors': 'short' });
  execFileSync('mkfifo', [join(dir, 'pipe')]);
  // A pipe would hold the whole process.
  for (const weights of [join(dir, 'pipe'), dir, '/dev/zero', join(dir, 'short.safetensors')])
    await t.rejects(
      createEvaluator({ kind: 'supernet', weights }, { space: spaceNamed('mbconv-fmnist'), profilesDir }),
      { code: 'SUPERNET_INVALID' },
      weights,
    );
  await t.rejects(readTensorFile(join(dir, 'pipe')), { code: 'SUPERNET_INVALID' });
  t.equal(await readTensorFile(join(dir, 'nothing')), undefined);
  await t.rejects(createEvaluator({ kind: 'oracle' }, { space, profilesDir }), { code: 'SPEC_INVALID' });
  await t.rejects(
    createEvaluator({ kind: 'supernet' }, { space: spaceNamed('proxylessnas-imagenet'), profilesDir }),
    { code: 'SUPERNET_INVALID' },
  );
});
