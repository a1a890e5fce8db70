/**
 * `npm run bench -- overhead [--pairs N] [--renew N]`: the daemon's raw latency of a network against a bare onnxruntime-node
 * loop of the same network on one thread, in turn. Figures by network: the median over the pairs of ours / bare, once with
 * a bare loop that keeps its outputs and has the same heap as the daemon's processes (`ratios`; bar: 0.97 to 1.03), once with
 * one that takes fresh outputs on the default heap (`ratiosFresh`). Every `renew` pairs all processes start anew, ours too:
 * a process keeps the speed that its memory layout gave it, so a pair compares one draw of ours with one of the bare loop's.
 * `fastUs` are the lower quartiles over the pairs, in which both sides have drawn their usual, fast state.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Device } from '../../daemon/devices/contract.js';
import { OnnxRuntimeDriver } from '../../daemon/devices/onnxruntime/driver.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { median } from '../../daemon/measure/statistics.js';
import type { Graph } from '../../daemon/network/graph.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { steadyHeap } from '../../daemon/runtime/launch.js';
import { mobileNetwork, visionTransformer } from './parts/sample-networks.js';

const { values: flags } = parseArgs({
  options: { pairs: { type: 'string', default: '15' }, renew: { type: 'string', default: '1' } },
});
const pairs = Number(flags.pairs);
const { signal } = new AbortController();
const protocol = loadProtocol('quick');
/** Of a leg's runs those count that follow its first quarter. */
const countedRuns = protocol.runsPerLeg - Math.floor(protocol.runsPerLeg / 4);
const rng = Xoshiro128.fromSeed(1);
const networks = [
  mobileNetwork(rng, { name: 'mobile-small', size: 32, width: 24, blocks: 4 }),
  visionTransformer(rng, { name: 'transformer-small', tokens: 50, width: 64, layers: 4 }),
  mobileNetwork(rng, { name: 'mobile-middle', size: 64, width: 24, blocks: 5 }),
  visionTransformer(rng, { name: 'transformer-middle', tokens: 65, width: 128, layers: 6 }),
  mobileNetwork(rng, { name: 'mobile-large', size: 224, width: 48, blocks: 5 }),
];

const results = [];
for (const network of networks) results.push(await compare(network));
const figures = {
  ratios: results.map((r) => r.ratio),
  ratiosFresh: results.map((r) => r.ratioFresh),
  worst: Math.max(...results.map((r) => Math.max(r.ratio, 1 / r.ratio))),
  bareUs: results.map((r) => r.bareUs),
  oursUs: results.map((r) => r.oursUs),
  fastUs: results.map((r) => r.fastUs),
  pairs,
  // Above the number of cores the figures speak of the machine: hilda drops rounds that others disturbed, the bare loop cannot.
  loadAverage: loadavg()[0],
};
console.log(JSON.stringify({ bench: 'overhead', figures }));

interface Compared {
  readonly ratio: number;
  readonly ratioFresh: number;
  readonly bareUs: number;
  readonly oursUs: number;
  /** Lower quartiles: bare, ours. */
  readonly fastUs: readonly [bare: number, ours: number];
}

async function compare(network: Graph): Promise<Compared> {
  const rows: { readonly bareUs: number; readonly freshUs: number; readonly oursUs: number }[] = [];
  const loops = (): Promise<ChildProcess[]> =>
    Promise.all([startBare(network, true), startBare(network, false)]);
  const both = async (children: readonly ChildProcess[]): Promise<readonly [number, number]> => {
    const us: number[] = [];
    for (const child of children) us.push(await ask(child, { ms: 120, group: countedRuns }));
    return us as [number, number];
  };
  let device = await openCpu();
  let children = await loops();
  try {
    let before = await both(children);
    for (let pair = 0; pair < pairs; pair++) {
      const { latency } = await device.measure(network, protocol, { signal });
      const after = await both(children);
      // Bare on both sides of ours cancels a slow change of the machine's speed.
      rows.push({
        bareUs: (before[0] + after[0]) / 2,
        freshUs: (before[1] + after[1]) / 2,
        oursUs: latency?.rawUs.median ?? Number.NaN,
      });
      before = after;
      if (pair + 1 < pairs && (pair + 1) % Number(flags.renew) === 0) {
        for (const child of children) child.disconnect();
        await device.close();
        device = await openCpu();
        children = await loops();
        before = await both(children);
      }
    }
  } finally {
    for (const child of children) child.disconnect();
    await device.close();
  }
  const quartile = (values: readonly number[]): number =>
    [...values].sort((a, b) => a - b)[Math.floor(values.length / 4)] as number;
  const row = {
    ratio: median(rows.map(({ oursUs, bareUs }) => oursUs / bareUs)),
    ratioFresh: median(rows.map(({ oursUs, freshUs }) => oursUs / freshUs)),
    bareUs: median(rows.map((r) => r.bareUs)),
    oursUs: median(rows.map((r) => r.oursUs)),
    fastUs: [quartile(rows.map((r) => r.bareUs)), quartile(rows.map((r) => r.oursUs))] as const,
  };
  console.log(
    `${network.name}: ours ${row.oursUs.toFixed(0)} us, bare ${row.bareUs.toFixed(0)} us, ratio ${row.ratio.toFixed(3)}, to fresh outputs ${row.ratioFresh.toFixed(3)}`,
  );
  return row;
}

async function openCpu(): Promise<Device> {
  const driver = new OnnxRuntimeDriver();
  for await (const sighting of driver.discover({ signal })) {
    const device = await driver.open(sighting, { signal });
    await device.calibrate?.({ signal });
    return device;
  }
  throw new Error('no CPU was found');
}

async function startBare(network: Graph, keepOutputs: boolean): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL('./parts/bare-loop-child.js', import.meta.url)), {
    serialization: 'advanced',
    env: keepOutputs ? { ...process.env, ...steadyHeap } : process.env,
  });
  await ask(child, { model: writeOnnx(network), threads: 1, dims: network.inputs[0]?.dims, keepOutputs });
  // As the protocol warms ours: a fresh process still compiles its loop.
  await ask(child, { ms: 400, group: countedRuns });
  return child;
}

async function ask(child: ChildProcess, message: object): Promise<number> {
  const answer = once(child, 'message');
  child.send(message);
  return (await answer)[0] as number;
}
