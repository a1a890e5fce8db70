/** Number formats as decisions: where the rounding stands, what it costs, and that it computes what float does. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { readIdxImages } from '../../daemon/data/labelled/idx-images.js';
import { sliceImages } from '../../daemon/data/labelled/labelled-images.js';
import { openSupernet } from '../../daemon/evaluate/open-supernet.js';
import { SupernetEvaluator } from '../../daemon/evaluate/supernet.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import { foldBatchNorm } from '../../daemon/network/fold-batch-norm.js';
import type { Graph, Node } from '../../daemon/network/graph.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import type { Dim, Formats, Space } from '../../daemon/search/spaces/contract.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { readSafetensors } from '../../daemon/train/weights/safetensors.js';
import { SharedWeights } from '../../daemon/train/weights/shared-weights.js';

const profiles = fileURLToPath(new URL('../../../profiles/', import.meta.url));
const open = (name: string): Space =>
  loadSpace(JSON.parse(readFileSync(`${profiles}spaces/${name}.json`, 'utf8')));
const space = open('mbconv-fmnist-formats');
const { base, baseArchitecture } = space.formats as Formats;
const dims = space.dims as readonly Dim[];
const { signal } = new AbortController();
t.setTimeout(900_000);

const runtime = new SessionProcess({ memoryLimitBytes: null });
t.teardown(() => runtime.stop());
const pixels = (() => {
  const rng = Xoshiro128.fromSeed(3);
  return Float32Array.from({ length: 784 }, () => 2 * rng.next() - 1);
})();
async function logits(graph: Graph): Promise<Float32Array> {
  const { handle } = await runtime.load(writeOnnx(graph), { arena: false });
  const answers = await runtime.run(handle, {
    input: { type: 'float32', dims: [1, 1, 28, 28], data: pixels },
  });
  await runtime.release(handle);
  return answers.logits?.data as Float32Array;
}

t.test('Q/DQ nodes stand where the architecture says', async (t) => {
  const rng = Xoshiro128.fromSeed(2);
  for (let i = 0; i < 20; i++) {
    const architecture = space.sample(rng) as readonly number[];
    const formatOf = (part: string): unknown => {
      const at = dims.findIndex(({ name }) => name === `${part}.format`);
      return dims[at]?.choices[architecture[at] as number];
    };
    const float = base.network(baseArchitecture(architecture));
    const graph = space.network(architecture);
    const producer = new Map(
      graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)),
    );
    const partOfWeight = (name: string): string =>
      /^(stem|first)\./.test(name)
        ? 'stem'
        : /^(head|classifier)\./.test(name)
          ? 'head'
          : (/^stage\d+\.layer\d+/.exec(name) as RegExpExecArray)[0];
    // Convolutions and the product come in the same order in both.
    const heavy = ({ nodes }: Graph): Node[] => nodes.filter(({ op }) => op === 'Conv' || op === 'Gemm');
    const pairs = heavy(graph).map((node, k) => [node, heavy(float)[k] as Node] as const);
    t.equal(pairs.length, heavy(float).length);
    for (const [node, original] of pairs) {
      const rounded = node.inputs.map((name) => producer.get(name)?.op === 'DequantizeLinear');
      if (formatOf(partOfWeight(original.inputs[1] as string)) === 'int8') {
        t.ok(rounded.length === 3 && rounded.every(Boolean), `${node.name}: data, weight and bias`);
        const output = graph.nodes.filter(({ inputs }) => inputs.includes(node.outputs[0] as string));
        t.ok(
          node.op === 'Gemm' || output.every(({ op }) => op === 'QuantizeLinear'),
          `${node.name}: its output is rounded`,
        );
      } else t.notOk(rounded[1], `${node.name}: its weight is float`);
    }
    const int8 = dims.filter((dim, d) => dim.name.endsWith('.format') && architecture[d] === 1).length;
    if (int8 === 0) t.equal(structureHash(graph), structureHash(float));
    // Int8 takes the bytes: never more than float, and a quarter and a bit throughout.
    t.ok(space.stats(architecture).weightBytes <= base.stats(baseArchitecture(architecture)).weightBytes);
  }
  const [, , int8, float] = (space.seeds?.() ?? []).map((a) => space.stats(a).weightBytes) as number[];
  t.ok((int8 as number) < 0.3 * (float as number), `${int8} of ${float} bytes`);
});

t.test('folded normalisation and int8 compute what float does', async (t) => {
  const bytes = readFileSync(`${profiles}supernets/mbconv-fmnist/weights.safetensors`);
  const weights = new SharedWeights(readSafetensors(bytes).tensors);
  const folder = `${profiles}datasets/fashion-mnist`;
  const evaluator = new SupernetEvaluator({
    space,
    weights,
    calibration: sliceImages(await readIdxImages(folder, 'calibration'), 0, 128),
    validation: sliceImages(await readIdxImages(folder, 'validation'), 0, 400),
    source: 'validation',
  });
  t.teardown(() => evaluator.close());
  for (const [int8, float] of [(space.seeds?.() ?? []).slice(0, 2), (space.seeds?.() ?? []).slice(2)]) {
    const plain = await evaluator.network(float as readonly number[], { signal });
    const [a, b, c] = await Promise.all(
      [plain, foldBatchNorm(plain), await evaluator.network(int8 as readonly number[], { signal })].map(
        logits,
      ),
    );
    t.notOk(foldBatchNorm(plain).nodes.some(({ op }) => op === 'BatchNormalization'));
    const most = Math.max(...(a as Float32Array).map(Math.abs));
    const furthest = (x: Float32Array): number =>
      Math.max(...x.map((value, i) => Math.abs(value - ((a as Float32Array)[i] as number))));
    t.ok(furthest(b as Float32Array) < 1e-4 * most, `folded: ${furthest(b as Float32Array)} of ${most}`);
    const off = furthest(c as Float32Array);
    t.ok(off > 0 && off < 0.15 * most, `int8: ${off} of ${most}`);
    const [exact, rounded] = [
      (await evaluator.evaluate(float as readonly number[], { signal })).values.accuracy as number,
      (await evaluator.evaluate(int8 as readonly number[], { signal })).values.accuracy as number,
    ];
    t.ok(Math.abs(exact - rounded) < 0.03, `accuracy ${exact} in float, ${rounded} in int8`);
  }
  const shipped = await openSupernet(space, profiles, { dataset: 'fashion-mnist' });
  t.teardown(() => shipped.close());
  t.same(shipped.metrics, ['accuracy'], "the base's super-network serves the space with formats");
});
