import { Xoshiro128 } from '../../../daemon/core/rng.js';
import { countCost } from '../../../daemon/network/cost.js';
import { checkNetworkLimits } from '../../../daemon/network/limits.js';
import { writeOnnx } from '../../../daemon/network/write-onnx.js';
import { profilesDir } from '../../../daemon/process/installation.js';
import { readModel } from '../../../daemon/reading/read-model.js';
import { loadSpace } from '../../../daemon/search/spaces/registry.js';
import { findSpace } from '../../../daemon/study/parts.js';
import { doublingNetwork } from '../../../daemon/testing/doubling-network.js';
import { sample } from '../../network/sample.js';
import { byte, int, options } from '../../network/tflite/run-converted.js';
import { type OperatorSpec, writeTflite } from '../../network/tflite/write-tflite.js';
import type { FuzzTarget } from '../guided.js';
import { mutateBytes } from '../mutate.js';

/** As the reading child does: decoded, checked and counted. */
async function read(bytes: Uint8Array): Promise<void> {
  const graph = await readModel(bytes);
  checkNetworkLimits(graph);
  countCost(graph);
}

/** The reading child tells a file that nests deeper than the stack by this. */
const isTyped = (thrown: unknown): boolean =>
  thrown instanceof RangeError && /call stack/.test(thrown.message);

const mostSeedBytes = 32 * 1024;

export const onnxTarget: FuzzTarget<Uint8Array> = {
  name: 'onnx',
  seeds: () => {
    const rng = Xoshiro128.fromSeed(5);
    const spaces = [
      'einspace-mini',
      'nasbench201-mcu',
      'hourglass-mlp',
      'vit-fmnist-tiny',
      'linear-recurrence',
    ];
    const sampled = spaces.flatMap((name) => {
      const space = loadSpace(findSpace(name, profilesDir));
      return Array.from({ length: 3 }, () => writeOnnx(space.network(space.sample(rng))));
    });
    const own = [doublingNetwork(), sample()].map((graph) => writeOnnx(graph));
    return [...own, ...sampled.filter(({ byteLength }) => byteLength <= mostSeedBytes)];
  },
  mutate: mutateBytes,
  run: read,
  isTyped,
};

const conv: OperatorSpec = {
  op: 'CONV_2D',
  inputs: [0, 1, 2],
  outputs: [3],
  options: options('Conv2D', byte(0), int(1), int(1), byte(0), int(1), int(1)),
};

export const tfliteTarget: FuzzTarget<Uint8Array> = {
  name: 'tflite',
  seeds: () => {
    const weights = { dims: [4, 3, 3, 3], data: Array.from({ length: 108 }, (_, i) => (i % 7) - 3) };
    const bias = { dims: [4], data: [1, 2, 3, 4] };
    const one = writeTflite({
      tensors: [{ dims: [1, 6, 6, 3], name: 'x' }, weights, bias, { dims: [1, 6, 6, 4], name: 'y' }],
      operators: [conv],
      inputs: [0],
      outputs: [3],
    });
    const two = writeTflite({
      tensors: [
        { dims: [1, 6, 6, 3], name: 'x' },
        weights,
        bias,
        { dims: [1, 6, 6, 4] },
        { dims: [2], type: 'int32', data: [1, 144] },
        { dims: [1, 144], name: 'y' },
      ],
      operators: [conv, { op: 'RESHAPE', inputs: [3, 4], outputs: [5] }],
      inputs: [0],
      outputs: [5],
    });
    return [one, two];
  },
  mutate: mutateBytes,
  run: read,
  isTyped,
};
