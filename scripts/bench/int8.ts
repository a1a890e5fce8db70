/**
 * `npm run bench -- int8 [--networks N] [--images N] [--weights DIR]`: what int8 costs in accuracy. Sub-networks of each
 * space whose super-network is there, drawn at random, in float through onnxruntime and in int8 as the boards compute it
 * (the integer reference, from the very bytes a board gets), on the shipped validation images. Bar: the median
 * sub-network loses at most 0.01.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { readIdxImages } from '../../daemon/data/labelled/idx-images.js';
import { sliceImages } from '../../daemon/data/labelled/labelled-images.js';
import { activationRanges } from '../../daemon/evaluate/activation-ranges.js';
import { SupernetEvaluator } from '../../daemon/evaluate/supernet.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { supernetWeights } from '../../daemon/train/weights/supernet-weights.js';
import { type CompilerBoard, compile, countRight } from '../../firmware-bridge/compiler/index.js';

const { values: flags } = parseArgs({
  options: {
    networks: { type: 'string', default: '7' },
    images: { type: 'string', default: '2000' },
    weights: { type: 'string', default: 'profiles/supernets' },
    profiles: { type: 'string', default: 'profiles/spaces' },
    spaces: { type: 'string', default: 'mbconv-fmnist,vit-fmnist' },
  },
});
const { signal } = new AbortController();
const images = 'profiles/datasets/fashion-mnist';
const calibration = await readIdxImages(images, 'calibration');
const validation = sliceImages(await readIdxImages(images, 'validation'), 0, Number(flags.images));
const board: CompilerBoard = {
  weightLayout: 'dsp',
  arenaBytes: 320 * 1024,
  flashBytes: 2 ** 20,
  weightsAt: 'flash',
  poolBytes: 0,
  fetchesInput: false,
};
const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] as number;
const figures: Record<string, number> = {};
const runtime = new SessionProcess();

for (const id of flags.spaces.split(',')) {
  const path = resolve(flags.weights, id, 'weights.safetensors');
  if (!existsSync(path)) {
    console.log(`${id}: no super-network at ${path}, left out`);
    continue;
  }
  const space = loadSpace(JSON.parse(readFileSync(join(flags.profiles, `${id}.json`), 'utf8')));
  const weights = supernetWeights(flags.weights, id);
  const evaluator = new SupernetEvaluator({ space, weights, calibration, validation, source: 'validation' });
  const rng = Xoshiro128.fromSeed(1);
  const losses: number[] = [];
  for (let i = 0; i < Number(flags.networks); i++) {
    const architecture = space.sample(rng);
    const float = (await evaluator.evaluate(architecture, { signal })).values.accuracy as number;
    const compiled = await compile(await evaluator.network(architecture, { signal }), {
      board,
      weights: 'real',
      calibration: (graph, values) => activationRanges(graph, values, calibration, runtime, { signal }),
    });
    const int8 = countRight(compiled, validation.pixels, validation.labels) / validation.count;
    losses.push(float - int8);
    console.log(
      `${id} ${i + 1}: float ${(100 * float).toFixed(2)} %, int8 ${(100 * int8).toFixed(2)} %, ${(compiled.macs / 1e6).toFixed(2)} MMAC, arena ${compiled.arenaBytes} B, flash ${compiled.flashBytes} B`,
    );
  }
  await evaluator.close();
  figures[`${id}.medianLoss`] = median(losses);
  figures[`${id}.largestLoss`] = Math.max(...losses);
}
await runtime.stop();
console.log(JSON.stringify({ bench: 'int8', figures }));
