/**
 * `npm run bench -- gpu [--networks N] [--protocol NAME]`: this host's GPU through each provider that works.
 * Figures, by provider: latency of N networks (microseconds, medians, copies included), GPU memory as nvidia-smi tells,
 * repeatability (Spearman and share within 5 % of two measurements with all others between; as in `bench repeat`), the
 * share of valid measurements; and the specialisation matrix with the CPU beside it. Where there is no GPU it says what each
 * provider lacks, and ends with 0 and without times. A software adapter (VK_ICD_FILENAMES) is tried for its results alone:
 * largest difference from the CPU's outputs, and whether every operator ran under the provider.
 */
import { parseArgs } from 'node:util';
import { type Measurement, speedOf } from '../../daemon/core/measurement.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Device } from '../../daemon/devices/contract.js';
import { gpuProviders, OnnxRuntimeDriver, offeredHere } from '../../daemon/devices/onnxruntime/driver.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { referenceNetworks } from '../../daemon/measure/references.js';
import { spearman } from '../../daemon/measure/statistics.js';
import { countCost } from '../../daemon/network/cost.js';
import { elementCount } from '../../daemon/network/graph.js';
import { sampleNetwork } from './parts/sample-networks.js';

const { values: flags } = parseArgs({
  options: { networks: { type: 'string', default: '10' }, protocol: { type: 'string', default: 'search' } },
});
const attempts = 3;
const { signal } = new AbortController();
const protocol = loadProtocol(flags.protocol);
const rng = Xoshiro128.fromSeed(2);
const networks = Array.from({ length: Number(flags.networks) }, (_, i) => sampleNetwork(rng, `n${i}`));
const references = referenceNetworks();
const macs = networks.map((network) => countCost(network).macs);

interface Column {
  readonly provider: string;
  readonly model: string;
  readonly first: readonly Measurement[];
  readonly second: readonly Measurement[];
  readonly taken: number;
  readonly valid: number;
}

const columns: Column[] = [];
/** Why a provider was not measured. */
const missing: Record<string, string> = {};
const software: Record<string, object> = {};
for (const provider of gpuProviders.filter(offeredHere)) {
  const driver = new OnnxRuntimeDriver({ provider });
  for await (const sighting of driver.discover({ signal })) {
    if (sighting.obstacle === null) {
      columns.push(await take(provider, await driver.open(sighting, { signal })));
      continue;
    }
    missing[provider] = sighting.obstacle;
    console.log(`${provider}: ${sighting.obstacle}`);
    if (sighting.target.tier === 'software')
      software[provider] = await tryOut(sighting.target.model, await driver.open(sighting, { signal }));
  }
}
if (columns.length === 0) {
  console.log('No GPU that onnxruntime can use was found: nothing was measured.');
  const tried = Object.keys(software).length > 0 && { software };
  console.log(JSON.stringify({ bench: 'gpu', figures: { gpu: false, missing, ...tried } }));
} else {
  columns.push(await take('cpu', await openCpu()));
  const figures = Object.fromEntries(columns.map((column) => [column.provider, figuresOf(column)]));
  console.log(
    JSON.stringify({ bench: 'gpu', figures: { gpu: true, missing, ...figures, matrix: matrix() } }),
  );
}

async function openCpu(): Promise<Device> {
  const driver = new OnnxRuntimeDriver();
  for await (const sighting of driver.discover({ signal })) return driver.open(sighting, { signal });
  throw new Error('the driver does not see the CPU');
}

async function take(provider: string, device: Device): Promise<Column> {
  let [taken, valid] = [0, 0];
  const all = async (): Promise<Measurement[]> => {
    const measured: Measurement[] = [];
    for (const network of networks) {
      for (let attempt = 1; ; attempt++) {
        const measurement = await device.measure(network, protocol, { signal });
        taken++;
        if (measurement.verdict === 'valid') valid++;
        else console.error(`${provider} ${network.name}: ${measurement.verdict}: ${measurement.reason}`);
        if (measurement.verdict !== 'valid' && attempt < attempts) continue;
        measured.push(measurement);
        break;
      }
    }
    return measured;
  };
  try {
    const [first, second] = [await all(), await all()];
    return { provider, model: device.target.model, first, second, taken, valid };
  } finally {
    await device.close();
  }
}

/**
 * What may be said of an adapter that computes on the CPU: whether its results are right. Nothing is timed. Of the reference
 * networks, since it takes minutes for one of the others.
 */
async function tryOut(adapter: string, device: Device): Promise<object> {
  const cpu = await openCpu();
  let [largest, placed] = [0, 0];
  try {
    for (const network of Object.values(references)) {
      const inputs = Object.fromEntries(
        network.inputs.map(({ name, dims: given }) => {
          const dims = given.map(Number);
          const data = new Float32Array(elementCount(dims));
          return [name, { dims, data: data.map((_, i) => Math.sin(i)) }];
        }),
      );
      const [ours, theirs] = [
        await device.run?.(network, inputs, { signal }),
        await cpu.run?.(network, inputs, { signal }),
      ];
      for (const [name, { data }] of Object.entries(theirs ?? {}))
        for (const [i, value] of data.entries())
          largest = Math.max(largest, Math.abs(value - (ours?.[name]?.data[i] ?? Number.NaN)));
      const rows = await device.profile?.(network, { signal });
      if (rows?.every(({ provider }) => provider === device.target.provider)) placed++;
    }
  } finally {
    await device.close();
    await cpu.close();
  }
  const tried = Object.keys(references).length;
  console.log(`${adapter}: ${tried} networks computed, none timed.`);
  return { adapter, networks: tried, largestDifference: largest, placementVerified: placed };
}

function figuresOf({ model, first, second, taken, valid }: Column) {
  const us = (list: readonly Measurement[]): number[] => list.map((m) => speedOf(m).value);
  const pairs = first.flatMap((a, i) => {
    const b = second[i];
    return b && a.verdict === 'valid' && b.verdict === 'valid' ? [speedOf(b).value / speedOf(a).value] : [];
  });
  return {
    model,
    latencyUs: first.map(({ latency }) => Number(latency?.rawUs.median.toPrecision(5))),
    gpuMemory: first.map(({ manifest }) => manifest.gpuMemory ?? null),
    spearman: spearman(us(first), us(second)),
    within5:
      pairs.length === 0 ? 0 : pairs.filter((ratio) => Math.abs(ratio - 1) <= 0.05).length / pairs.length,
    validShare: valid / taken,
  };
}

/**
 * Row: the device whose best network (most MACs a microsecond) is taken. Column: what that network reaches on each
 * device, as a share of the device's own best. Below one off the diagonal, devices want networks of their own.
 */
function matrix(): Record<string, Record<string, number>> {
  const speed = ({ first }: Column, i: number): number =>
    (macs[i] as number) / speedOf(first[i] as Measurement).value;
  const best = (column: Column): number =>
    networks.reduce((at, _, i) => (speed(column, i) > speed(column, at) ? i : at), 0);
  return Object.fromEntries(
    columns.map((row) => [
      row.provider,
      Object.fromEntries(
        columns.map((column) => [
          column.provider,
          Number((speed(column, best(row)) / speed(column, best(column))).toFixed(4)),
        ]),
      ),
    ]),
  );
}
