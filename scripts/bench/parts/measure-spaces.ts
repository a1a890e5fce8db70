import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { speedOf } from '../../../daemon/core/measurement.js';
import { type Rng, randomInt, Xoshiro128 } from '../../../daemon/core/rng.js';
import type { Device } from '../../../daemon/devices/contract.js';
import { OnnxRuntimeDriver } from '../../../daemon/devices/onnxruntime/driver.js';
import type { Protocol } from '../../../daemon/measure/protocol.js';
import { elementCount, floatTensor, type Graph } from '../../../daemon/network/graph.js';
import { GraphBuilder } from '../../../daemon/network/graph-builder.js';
import type { Space } from '../../../daemon/search/spaces/contract.js';
import { loadSpace } from '../../../daemon/search/spaces/registry.js';

export function openSpace(name: string): Space {
  const path = fileURLToPath(new URL(`../../../../profiles/spaces/${name}.json`, import.meta.url));
  return loadSpace(JSON.parse(readFileSync(path, 'utf8')) as { kind: string });
}

export async function openHost(signal: AbortSignal): Promise<Device> {
  const driver = new OnnxRuntimeDriver();
  for await (const sighting of driver.discover({ signal })) return driver.open(sighting, { signal });
  throw new Error('no CPU was found');
}

/** Latency in us; undefined where no attempt was valid. */
export async function measureLatency(
  device: Device,
  network: Graph,
  protocol: Protocol,
  signal: AbortSignal,
  attempts = 3,
): Promise<number | undefined> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const measurement = await device.measure(network, protocol, { signal });
    if (measurement.verdict === 'valid') return speedOf(measurement).value;
    if (attempt + 1 === attempts)
      console.error(`${network.name}: ${measurement.verdict}: ${measurement.reason}`);
  }
  return undefined;
}

/** Networks of random cells in the manner of NAS-Bench-201: three stages of cells of four nodes, six edges. */
export function cellNetwork(rng: Rng, name: string): Graph {
  const builder = new GraphBuilder({ name });
  const weights = Xoshiro128.fromSeed(1);
  let count = 0;
  const constant = (...dims: number[]): string =>
    builder.constant(
      `w${count++}`,
      floatTensor(
        dims,
        Float32Array.from({ length: elementCount(dims) }, () => (weights.next() - 0.5) / 8),
      ),
    );
  const cell = Array.from({ length: 6 }, () => randomInt(rng, 5));
  if (cell[3] === 0 && cell[4] === 0 && cell[5] === 0) cell[3] = 3;
  const width = [8, 16, 24][randomInt(rng, 3)] as number;
  const perStage = 1 + randomInt(rng, 3);
  const conv = (x: string, from: number, to: number, kernel: number, stride = 1): string =>
    builder.relu(
      builder.conv(x, constant(to, from, kernel, kernel), constant(to), { stride, pad: kernel >> 1 }),
    );
  const edge = (x: string, op: number, channels: number): string | undefined => {
    if (op === 0) return undefined;
    if (op === 1) return x;
    if (op === 4)
      return builder.node('AveragePool', [x], { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] });
    return conv(x, channels, channels, op === 2 ? 1 : 3);
  };
  let x = conv(builder.input('x', 'float32', [1, 3, 32, 32]), 3, width, 3);
  let channels = width;
  for (let stage = 0; stage < 3; stage++) {
    if (stage > 0) {
      x = conv(x, channels, 2 * channels, 3, 2);
      channels *= 2;
    }
    for (let repeat = 0; repeat < perStage; repeat++) {
      const nodes: (string | undefined)[] = [x];
      [[0], [0, 1], [0, 1, 2]].forEach((sources, node) => {
        const first = [0, 1, 3][node] as number;
        const terms = sources.flatMap((source, k) => {
          const from = nodes[source];
          const value = from === undefined ? undefined : edge(from, cell[first + k] as number, channels);
          return value === undefined ? [] : [value];
        });
        nodes.push(
          terms.reduce<string | undefined>(
            (sum, term) => (sum === undefined ? term : builder.add(sum, term)),
            undefined,
          ),
        );
      });
      x = nodes[3] ?? x;
    }
  }
  builder.output(builder.globalAveragePool(x));
  return builder.build();
}
