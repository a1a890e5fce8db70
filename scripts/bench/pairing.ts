/**
 * `npm run bench -- pairing [--times N]`: a phone joins over loopback. A fresh Chromium with an empty cache opens the
 * invitation's address; a measurement is asked for as soon as the daemon lists the device, as a person with the next
 * present command would. Figures, medians over N pairings, milliseconds from the address being opened: the page asked for
 * its connection, was welcomed, was listed; the first worker was ready (runtime downloaded, compiled, started), the first
 * timed sample came, the references were calibrated, the first measurement was stored; besides, the wasm's download.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Page } from 'playwright-core';
import { DaemonClient } from '../../daemon/api/client.js';
import { systemClock } from '../../daemon/core/clock.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { median } from '../../daemon/measure/statistics.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { Daemon } from '../../daemon/process/daemon.js';
import { launchChromium } from '../../test/devices/chromium.js';
import { sampleNetwork } from './parts/sample-networks.js';

const { values: flags } = parseArgs({ options: { times: { type: 'string', default: '5' } } });
const { signal } = new AbortController();
const options = { signal };

const stages = [
  'connected',
  'welcomed',
  'listed',
  'wasmDownloaded',
  'workerReady',
  'firstSample',
  'calibrated',
  'stored',
] as const;
type Stage = (typeof stages)[number];

/** Notes the first time of each stage. What crosses the ws tells the stages between. */
function stopwatch(page: Page) {
  const startUs = systemClock.monotonicUs();
  const atMs = new Map<Stage, number>();
  const note = (stage: Stage): void => {
    if (!atMs.has(stage)) atMs.set(stage, (systemClock.monotonicUs() - startUs) / 1000);
  };
  const ops = new Map<number, string>();
  page.on('requestfinished', (request) => {
    if (request.url().endsWith('.wasm')) note('wasmDownloaded');
  });
  page.on('websocket', (socket) => {
    note('connected');
    socket.on('framereceived', ({ payload }) => {
      if (typeof payload !== 'string') return;
      const message = JSON.parse(payload);
      if (message.op === 'welcome') note('welcomed');
      if (message.op !== 'call') return;
      ops.set(message.id, message.call.op);
      // The calibration's worker ends where it ends.
      if (message.call.op === 'stop') note('calibrated');
    });
    socket.on('framesent', ({ payload }) => {
      if (typeof payload !== 'string') return;
      const message = JSON.parse(payload);
      if (message.op !== 'reply') return;
      const op = ops.get(message.id);
      if (op === 'start') note('workerReady');
      if (op === 'time') note('firstSample');
    });
  });
  return { atMs, note };
}

async function pair(client: DaemonClient, model: string): Promise<ReadonlyMap<Stage, number>> {
  const { context, close } = await launchChromium();
  try {
    const page = await context.newPage();
    const { addresses, pairing } = await client.invite('page', options);
    const { atMs, note } = stopwatch(page);
    const opened = page.goto(addresses[0]?.url ?? '', { waitUntil: 'commit' });
    let device: string | undefined;
    while (!device) {
      const id = (await client.joiners(options)).find((joiner) => joiner.pairing === pairing)?.id;
      device = (await client.devices(options)).find((d) => d.id === id && d.present)?.id;
      if (!device) await systemClock.sleep(20);
    }
    note('listed');
    const job = await client.ended(
      await client.startMeasurement({ model, device, protocol: 'quick' }, options),
      { ...options, clock: systemClock, everyMs: 20 },
    );
    if (!job.measurement) throw new Error(`the measurement failed: ${job.problem?.detail}`);
    note('stored');
    await opened;
    return atMs;
  } finally {
    await close();
  }
}

const dataDir = await mkdtemp(join(tmpdir(), 'hilda-pairing-'));
const daemon = new Daemon({ dataDir, port: 0, clock: systemClock });
try {
  const client = new DaemonClient(await daemon.start(signal));
  const network = writeOnnx(sampleNetwork(Xoshiro128.fromSeed(1), 'candidate'));
  const model = (await client.uploadModel(network, options)).sha256;
  const runs: ReadonlyMap<Stage, number>[] = [];
  for (let i = 0; i < Number(flags.times); i++) {
    const atMs = await pair(client, model);
    runs.push(atMs);
    console.log(stages.map((stage) => `${stage} ${(atMs.get(stage) ?? Number.NaN).toFixed(0)}`).join(', '));
  }
  const medianMs = (stage: Stage): number => Math.round(median(runs.map((run) => run.get(stage) as number)));
  const figures = {
    ...Object.fromEntries(stages.map((stage) => [`${stage}Ms`, medianMs(stage)])),
    worstFirstSampleMs: Math.round(Math.max(...runs.map((run) => run.get('firstSample') as number))),
    worstStoredMs: Math.round(Math.max(...runs.map((run) => run.get('stored') as number))),
    pairings: runs.length,
    cores: (await import('node:os')).availableParallelism(),
  };
  console.log(JSON.stringify({ bench: 'pairing', figures }));
} finally {
  await daemon.stop();
  await rm(dataDir, { recursive: true, force: true, maxRetries: 3 });
}
