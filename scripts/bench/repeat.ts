/**
 * `npm run bench -- repeat [--networks N] [--others N] [--load 1] [--no-careful]`: the same networks measured twice with
 * other measurements between, as the daemon measures them: with the target's repeatability as learnt so far. Figures:
 * the share of pairs, both valid, that lie within 5 % of each other; the share whose difference lies within what both
 * intervals say at 95 %; the median relative half-width of `search` and of `careful`; the share of valid
 * measurements; Spearman of the two values; searches a minute. With `--load 1` (and by default after the quiet part) one
 * process keeps another core busy; those figures end in `Load`. A measurement that is not valid is taken again up to three times in all.
 */
import { spawn } from 'node:child_process';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { systemClock } from '../../daemon/core/clock.js';
import type { Measurement } from '../../daemon/core/measurement.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Device } from '../../daemon/devices/contract.js';
import { OnnxRuntimeDriver } from '../../daemon/devices/onnxruntime/driver.js';
import type { RepeatabilityLedger, RepeatabilityRecord } from '../../daemon/fleet/repeatability-ledger.js';
import { RepeatingDevice } from '../../daemon/fleet/repeating-device.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { sessionValue } from '../../daemon/measure/sessions.js';
import { median, spearman } from '../../daemon/measure/statistics.js';
import type { Graph } from '../../daemon/network/graph.js';
import { sampleNetwork } from './parts/sample-networks.js';

const { values: flags } = parseArgs({
  options: {
    networks: { type: 'string', default: '20' },
    others: { type: 'string', default: '200' },
    /** `0`: the quiet part alone; `1`: the loaded part alone; left out: both. */
    load: { type: 'string' },
    seed: { type: 'string', default: '2' },
    careful: { type: 'boolean', default: true },
  },
  allowNegative: true,
});
const attempts = 3;
const { signal } = new AbortController();
const search = loadProtocol('search');
const figures: Record<string, number> = {};
if (flags.load !== '1') Object.assign(figures, await part(''));
if (flags.load !== '0') {
  // It ends by itself when this process is killed.
  const loop =
    'const parent = process.ppid; while (process.ppid === parent) for (let i = 0; i < 1e6; i++) Math.sqrt(i);';
  const busy = spawn(process.execPath, ['-e', loop], { stdio: 'ignore' });
  try {
    Object.assign(figures, await part('Load'));
  } finally {
    busy.kill('SIGKILL');
  }
}
console.log(
  JSON.stringify({
    bench: 'repeat',
    figures: { ...figures, networks: Number(flags.networks), others: Number(flags.others) },
  }),
);

/** One pass over everything on a device that starts without knowledge of its repeatability. */
async function part(suffix: string): Promise<Record<string, number>> {
  const rng = Xoshiro128.fromSeed(Number(flags.seed));
  const ledger = memoryLedger();
  const device: Device = new RepeatingDevice(await openCpu(), { ledger, clock: systemClock });
  const tally = { taken: 0, valid: 0, searchMs: 0 };
  try {
    await device.calibrate?.({ signal });
    const networks = Array.from({ length: Number(flags.networks) }, (_, i) => sampleNetwork(rng, `n${i}`));
    const first: Measurement[] = [];
    for (const network of networks) first.push(await measure(device, network, tally));
    for (let other = 0; other < Number(flags.others); other++) {
      await device.measure(sampleNetwork(rng, `other${other}`), loadProtocol('quick'), { signal });
    }
    const second: Measurement[] = [];
    for (const network of networks) second.push(await measure(device, network, tally));
    const careful: Measurement[] = [];
    if (flags.careful)
      for (const network of networks.slice(0, 8))
        careful.push(await device.measure(network, loadProtocol('careful'), { signal }));
    for (const [i, a] of first.entries()) {
      const b = second[i] as Measurement;
      console.log(
        `n${i}${suffix && ` ${suffix}`}: ${valueUs(a).toFixed(0)} us ${a.verdict}, ${valueUs(b).toFixed(0)} us ${b.verdict}, ${((valueUs(b) / valueUs(a) - 1) * 100).toFixed(1)} %, said ${(said(a, b) * 100).toFixed(1)} %, regimes ${regimes(a, b)}`,
      );
    }
    const pairs = first.map((a, i) => ({ a, b: second[i] as Measurement }));
    const both = pairs.filter(({ a, b }) => a.verdict === 'valid' && b.verdict === 'valid');
    const apart = ({ a, b }: (typeof pairs)[number]): number => Math.abs(Math.log(valueUs(b) / valueUs(a)));
    const share = (holds: (pair: (typeof pairs)[number]) => boolean): number =>
      both.length === 0 ? 0 : both.filter(holds).length / both.length;
    const { repeatability } = await ledger.read();
    const named = {
      within5: share((pair) => Math.exp(apart(pair)) - 1 <= 0.05),
      coverage: share((pair) => apart(pair) <= said(pair.a, pair.b)),
      halfWidth: medianHalf(both.flatMap(({ a, b }) => [a, b])),
      ...(flags.careful && { halfWidthCareful: medianHalf(careful.filter((m) => m.verdict === 'valid')) }),
      carefulSessions:
        careful.length === 0 ? 0 : median(careful.map((m) => m.latency?.spread?.sessions ?? 0)),
      validShare: tally.valid / tally.taken,
      validPairs: both.length,
      spearman: spearman(
        pairs.map(({ a }) => valueUs(a)),
        pairs.map(({ b }) => valueUs(b)),
      ),
      repeats: repeatability?.freedom ?? 0,
      between: both.at(-1)?.b.latency?.spread?.between ?? Number.NaN,
      searchesPerMinute: (60_000 * tally.taken) / tally.searchMs,
      loadAverage: loadavg()[0] as number,
    };
    return Object.fromEntries(Object.entries(named).map(([name, value]) => [name + suffix, value]));
  } finally {
    await device.close();
  }
}

function regimes(...all: readonly Measurement[]): string {
  return all.map(({ latency }) => `${((latency?.spread?.regime ?? 0) * 100).toFixed(1)} %`).join(' ');
}

function valueUs({ latency }: Measurement): number {
  return latency?.normalisedUs ?? Number.NaN;
}

/** Half the 95 % interval of the difference of two measurements, on the logarithmic scale. */
function said(a: Measurement, b: Measurement): number {
  return Math.hypot(halfOf(a), halfOf(b));
}

function halfOf({ latency }: Measurement): number {
  const [low, high] = latency?.normalisedCiUs ?? [Number.NaN, Number.NaN];
  return Math.log(high / low) / 2;
}

function medianHalf(all: readonly Measurement[]): number {
  return all.length === 0 ? Number.NaN : median(all.map(halfOf));
}

async function measure(
  device: Device,
  network: Graph,
  tally: { taken: number; valid: number; searchMs: number },
): Promise<Measurement> {
  for (let attempt = 1; ; attempt++) {
    const startMs = performance.now();
    const measurement = await device.measure(network, search, { signal });
    tally.searchMs += performance.now() - startMs;
    tally.taken++;
    if (measurement.verdict === 'valid') tally.valid++;
    else console.error(`${network.name}: ${measurement.verdict}: ${measurement.reason}`);
    if (measurement.verdict === 'valid' || attempt === attempts) return measurement;
  }
}

/** As the store keeps it, without a store. */
function memoryLedger(): RepeatabilityLedger {
  let record: RepeatabilityRecord = {
    repeatability: null,
    probes: {},
    calibratedMs: null,
    undisturbed: null,
  };
  const taken: Measurement[] = [];
  return {
    read: async () => record,
    write: async (next) => {
      record = next;
    },
    earlier: async (now) => {
      const same = taken.filter(({ structureHash }) => structureHash === now.structureHash);
      taken.push(now);
      return same.flatMap((one) => sessionValue(one) ?? []);
    },
  };
}

async function openCpu(): Promise<Device> {
  const driver = new OnnxRuntimeDriver();
  for await (const sighting of driver.discover({ signal })) return driver.open(sighting, { signal });
  throw new Error('no CPU was found');
}
