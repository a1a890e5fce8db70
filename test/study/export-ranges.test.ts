import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import type { Examples } from '../../daemon/devices/contract.js';
import { boardRanges } from '../../daemon/devices/mcu/board-ranges.js';
import { parseRanges, storedRanges } from '../../daemon/devices/stored-ranges.js';
import { SupernetEvaluator } from '../../daemon/evaluate/supernet.js';
import type { Graph } from '../../daemon/network/graph.js';
import { readOnnx } from '../../daemon/network/read-onnx.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { randomWeights } from '../../daemon/search/spaces/parts/random-weights.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { type CompilerBoard, compile, Reference } from '../../firmware-bridge/compiler/index.js';

const profiles = fileURLToPath(new URL('../../../profiles', import.meta.url));
const { signal } = new AbortController();

function images(count: number, seed: number) {
  const rng = Xoshiro128.fromSeed(seed);
  const pixels = Float32Array.from({ length: count * 784 }, () => gaussian(rng));
  const labels = Uint8Array.from({ length: count }, (_, i) => i % 10);
  return { count, channels: 1, height: 28, width: 28, pixels, labels };
}

const boardOf = (weightLayout: CompilerBoard['weightLayout']): CompilerBoard => ({
  weightLayout,
  arenaBytes: 200_000,
  flashBytes: 2 ** 24,
  weightsAt: 'flash',
  poolBytes: 0,
  fetchesInput: true,
});

t.test('an exported network with its ranges is the one that was scored, bit for bit', async (t) => {
  for (const [name, seed] of [
    ['mbconv-fmnist', 8],
    ['hourglass-mlp', 3],
  ] as const) {
    const space = loadSpace(JSON.parse(readFileSync(`${profiles}/spaces/${name}.json`, 'utf8')));
    const evaluator = new SupernetEvaluator({
      space,
      weights: randomWeights,
      calibration: images(128, 1),
      validation: images(16, 2),
      source: 'noise',
      deployedImages: 8,
    });
    t.teardown(() => evaluator.close());
    const architecture = space.sample(Xoshiro128.fromSeed(seed));
    // What a device is asked to classify is what the search scores.
    let scored: { readonly network: Graph; readonly examples: Examples } | undefined;
    await evaluator.deployed(
      architecture,
      async (network, examples) => {
        scored = { network, examples };
        return new Uint8Array(examples.count);
      },
      { signal },
    );
    if (!scored) throw new Error('nothing was scored');

    const onnx = writeOnnx(await evaluator.network(architecture, { signal }));
    const { ranges: ask, rangesOf: source } = evaluator;
    const ranges = await boardRanges(readOnnx(onnx), { ask, source });
    const kept = parseRanges(new TextEncoder().encode(JSON.stringify(ranges)));
    const rng = Xoshiro128.fromSeed(4);
    for (const layout of ['rows', 'scalar', 'dsp', 'mve'] as const) {
      const options = { board: boardOf(layout), weights: 'real' } as const;
      const before = await compile(scored.network, { ...options, calibration: scored.examples.ranges });
      const after = await compile(readOnnx(onnx), { ...options, calibration: storedRanges(kept) });
      t.same(after.program, before.program, `${name}, ${layout}`);
      const input = Int8Array.from({ length: 784 }, () => Math.floor(rng.next() * 256) - 128);
      t.same(new Reference(after.program).run(input), new Reference(before.program).run(input));
    }
    const other = writeOnnx(await evaluator.network(space.sample(Xoshiro128.fromSeed(seed + 1)), { signal }));
    await t.rejects(
      compile(readOnnx(other), { board: boardOf('rows'), weights: 'real', calibration: storedRanges(kept) }),
      { code: 'QUANTISATION_FAILED', message: /another network/ },
      'they fit no other network',
    );
  }
});
