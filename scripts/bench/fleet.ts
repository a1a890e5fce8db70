/**
 * `npm run bench -- fleet [--devices 10000] [--measurements 1000000] [--each 3] [--work-ms 60000] [--seconds 30] [--dir FOLDER]`: a
 * large virtual fleet on one daemon (store on disk, queue, watch on series, API) in a process of its own, with so many measurements stored.
 *
 * 1. Saturated: every device answers at once and has `--each` jobs: `jobsPerS`, `statementsPerJob` (bar: at most 5).
 * 2. Paced: a device works for half to one and a half of `--work-ms`, and a job waits for it. Meanwhile a process reads pages of 50
 *    devices, of 50 jobs, and single devices over HTTP, one at a time: `readP99Ms` (bar: 100). `claimP99Ms` (bar: 10): from
 *    the moment a device is free to the moment it works again, its result stored. Every device has had a job before it counts.
 * 3. At rest: histories of 250 points over HTTP, none read before (`historyP95Ms`, bar: 100) and read again (`historyAgainP95Ms`).
 *
 * `rssMb`: the most memory that the daemon's process held (bar: 1,024). Virtual devices compute in that process.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { systemClock } from '../../daemon/core/clock.js';
import type { FleetOrder } from './parts/fleet-daemon.js';
import { fillMeasurements } from './parts/fleet-rows.js';

const { values: flags } = parseArgs({
  options: {
    devices: { type: 'string', default: '10000' },
    measurements: { type: 'string', default: '1000000' },
    each: { type: 'string', default: '3' },
    'work-ms': { type: 'string', default: '60000' },
    seconds: { type: 'string', default: '30' },
    histories: { type: 'string', default: '200' },
    dir: { type: 'string', default: tmpdir() },
  },
});
const [devices, seconds] = [Number(flags.devices), Number(flags.seconds)];

const quantile = (values: readonly number[], share: number): number =>
  [...values].sort((a, b) => a - b)[Math.ceil((values.length - 1) * share)] ?? Number.NaN;

async function start<T>(file: string, args: readonly string[]): Promise<readonly [ChildProcess, T]> {
  const child = fork(fileURLToPath(new URL(`./parts/${file}`, import.meta.url)), [...args]);
  const died = once(child, 'exit').then(([code]) => {
    throw new Error(`${file} ended with ${code}`);
  });
  return [child, (await Promise.race([once(child, 'message'), died]))[0] as T];
}

async function heard<T>(child: ChildProcess): Promise<T> {
  return (await once(child, 'message'))[0] as T;
}

async function ask<T>(child: ChildProcess, message: object): Promise<T> {
  const answer = heard<T>(child);
  child.send(message);
  return answer;
}

const dataDir = await mkdtemp(join(flags.dir, 'hilda-fleet-'));
try {
  const beganMs = systemClock.nowMs();
  const filled = await fillMeasurements(dataDir, Number(flags.measurements), devices);
  console.log(
    `stored ${flags.measurements} measurements of ${filled} devices in ${((systemClock.nowMs() - beganMs) / 1000).toFixed(0)} s`,
  );
  const [daemon, started] = await start<{ url: string; discoverS: number; startS: number }>(
    'fleet-daemon.js',
    [dataDir, flags.devices],
  );
  const { url, discoverS, startS } = started;
  console.log(`${devices} devices seen in ${discoverS.toFixed(1)} s, started in ${startS.toFixed(1)} s`);
  const order = <T>(message: FleetOrder): Promise<T> => ask<T>(daemon, message);
  const [reader] = await start('fleet-reader.js', [url]);
  const read = async (paths: readonly string[], forS?: number): Promise<number[]> =>
    (await ask<{ tookMs: number[] }>(reader, { paths, ...(forS !== undefined && { seconds: forS }) })).tookMs;

  const saturated = await order<Record<string, number>>({ op: 'saturate', each: Number(flags.each) });
  console.log(`saturated: ${JSON.stringify(saturated)}`);

  await order({ op: 'pace', workMs: Number(flags['work-ms']), seconds });
  const pages = ['/v1/devices?limit=50', '/v1/jobs?limit=50', `/v1/devices/virtual-fleet-${devices >> 1}`];
  const paced = heard<Record<string, number>>(daemon);
  const reads: Record<string, number[]> = { devices: [], jobs: [], device: [] };
  const endMs = systemClock.nowMs() + 1000 * (seconds - 1);
  while (systemClock.nowMs() < endMs)
    for (const [i, kind] of Object.keys(reads).entries())
      reads[kind]?.push(...(await read([pages[i] as string])));
  const atWork = await paced;
  const all = Object.values(reads).flat();
  for (const [kind, tookMs] of Object.entries(reads))
    console.log(
      `GET ${kind}: ${tookMs.length} reads, median ${quantile(tookMs, 0.5).toFixed(1)} ms, p99 ${quantile(tookMs, 0.99).toFixed(1)} ms`,
    );
  console.log(`paced: ${JSON.stringify(atWork)}`);

  const count = Math.min(Number(flags.histories), filled);
  const histories = Array.from(
    { length: count },
    (_, i) => `/v1/measurements/m${1 + 2 * Math.floor((i * filled) / count)}/history`,
  );
  const usage = (): Promise<{ cpuMs: number; rssMb: number }> => order({ op: 'usage' });
  const before = await usage();
  const cold = await read(histories);
  const after = await usage();
  const again = await read(histories);
  const figures = {
    ...saturated,
    ...atWork,
    readP99Ms: quantile(all, 0.99),
    readP50Ms: quantile(all, 0.5),
    historyP95Ms: quantile(cold, 0.95),
    historyP50Ms: quantile(cold, 0.5),
    historyCpuMs: (after.cpuMs - before.cpuMs) / cold.length,
    historyAgainP95Ms: quantile(again, 0.95),
    rssMb: (await usage()).rssMb,
    discoverS,
    loadAverage: loadavg()[0],
  };
  await order({ op: 'stop' });
  reader.disconnect();
  console.log(JSON.stringify({ bench: 'fleet', devices, measurements: Number(flags.measurements), figures }));
} finally {
  await rm(dataDir, { recursive: true, force: true });
}
