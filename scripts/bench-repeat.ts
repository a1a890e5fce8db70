/**
 * `npm run bench -- repeat [--networks N] [--others N] [--protocol NAME]`: the same networks measured twice with other
 * measurements between. Figures: Spearman of the two normalised latencies (bar: 0.98), the share of pairs, both valid,
 * that lie within 5 % of each other (bar: 0.9), and the share of valid measurements. A measurement that is not valid
 * is taken again up to three times in all, as the daemon does.
 */
import { parseArgs } from 'node:util';
import type { Measurement } from '../daemon/core/measurement.js';
import { Xoshiro128 } from '../daemon/core/rng.js';
import type { Device } from '../daemon/devices/contract.js';
import { OnnxRuntimeDriver } from '../daemon/devices/onnxruntime/driver.js';
import { loadProtocol } from '../daemon/measure/protocols.js';
import { spearman } from '../daemon/measure/statistics.js';
import type { Graph } from '../daemon/network/graph.js';
import { sampleNetwork } from './sample-networks.js';

const { values: flags } = parseArgs({
  options: {
    networks: { type: 'string', default: '20' },
    others: { type: 'string', default: '200' },
    protocol: { type: 'string', default: 'search' },
  },
});
const attempts = 3;
const { signal } = new AbortController();
const protocol = loadProtocol(flags.protocol);
const rng = Xoshiro128.fromSeed(2);
const networks = Array.from({ length: Number(flags.networks) }, (_, i) => sampleNetwork(rng, `n${i}`));
const device = await openCpu();
let taken = 0;
let valid = 0;
try {
  await device.calibrate?.({ signal });
  const first: Measurement[] = [];
  for (const network of networks) first.push(await measure(network));
  for (let other = 0; other < Number(flags.others); other++) {
    await device.measure(sampleNetwork(rng, `other${other}`), loadProtocol('quick'), { signal });
  }
  const second: Measurement[] = [];
  for (const network of networks) second.push(await measure(network));
  const pairs = first.map((a, i) => ({ a, b: second[i] as Measurement }));
  for (const [i, { a, b }] of pairs.entries()) {
    const apart = (b.latency?.normalisedUs ?? Number.NaN) / (a.latency?.normalisedUs ?? Number.NaN) - 1;
    console.log(
      `n${i}: ${(a.latency?.normalisedUs ?? Number.NaN).toFixed(0)} us ${a.verdict}, ${(b.latency?.normalisedUs ?? Number.NaN).toFixed(0)} us ${b.verdict}, ${(apart * 100).toFixed(1)} %`,
    );
  }
  const both = pairs.filter(({ a, b }) => a.verdict === 'valid' && b.verdict === 'valid');
  const close = both.filter(
    ({ a, b }) =>
      Math.abs((b.latency?.normalisedUs ?? Number.NaN) / (a.latency?.normalisedUs ?? Number.NaN) - 1) <= 0.05,
  );
  const figures = {
    spearman: spearman(
      pairs.map(({ a }) => a.latency?.normalisedUs ?? Number.NaN),
      pairs.map(({ b }) => b.latency?.normalisedUs ?? Number.NaN),
    ),
    within5: both.length === 0 ? 0 : close.length / both.length,
    validShare: valid / taken,
    validPairs: both.length,
    networks: pairs.length,
    others: Number(flags.others),
  };
  console.log(JSON.stringify({ bench: 'repeat', figures }));
} finally {
  await device.close();
}

async function measure(network: Graph): Promise<Measurement> {
  for (let attempt = 1; ; attempt++) {
    const measurement = await device.measure(network, protocol, { signal });
    taken++;
    if (measurement.verdict === 'valid') valid++;
    else console.error(`${network.name}: ${measurement.verdict}: ${measurement.reason}`);
    if (measurement.verdict === 'valid' || attempt === attempts) return measurement;
  }
}

async function openCpu(): Promise<Device> {
  const driver = new OnnxRuntimeDriver();
  for await (const sighting of driver.discover({ signal })) return driver.open(sighting, { signal });
  throw new Error('no CPU was found');
}
