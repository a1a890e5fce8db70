/**
 * `npm run bench -- soak [--minutes 30] [--calm]`: a whole daemon over four devices on paper under mixed load for half an hour or
 * more: studies one after the other, measurements, lists, channels of events that come and go. A switchboard injects faults at
 * store, sockets, files and clock, in every second minute (`--calm`: none).
 *
 * Bars: `rssGrowth` resident memory at the end over that at minute five (a third of a shorter run) at most 1.15, each the median
 * of a minute's looks, since garbage that is not collected yet comes and goes; `heapGrowth` the same of what a full collection
 * leaves in V8's heap (no bar); `fdGrowth`, `threadGrowth` and `handleGrowth` at most 5; `queued` jobs once the load has ended 0; `untyped` errors of clients, and `defects`
 * of the daemon, 0; `pending` resources after the stop 0; `stopMs` at most 5000.
 */
import { fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DaemonClient } from '../../daemon/api/client.js';
import { watchEvents } from '../../daemon/api/watch.js';
import { systemClock } from '../../daemon/core/clock.js';
import { asHildaError, HildaError } from '../../daemon/core/errors.js';
import type { FaultPlanInput } from '../../daemon/faults/fault-plan.js';
import { median } from '../../daemon/measure/statistics.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { doublingNetwork } from '../../daemon/testing/doubling-network.js';
import { smallSpec } from '../../test/study/bench.js';
import type { SoakOrder } from './parts/soak-daemon.js';

const { values: flags } = parseArgs({
  options: { minutes: { type: 'string', default: '30' }, calm: { type: 'boolean', default: false } },
});
const clock = systemClock;
const totalMs = 60_000 * Number(flags.minutes);
const settledMs = Math.min(300_000, totalMs / 3);
const plan: FaultPlanInput = {
  seed: 1,
  rules: [
    { edge: 'store', action: 'fail', as: 'SQLITE_BUSY', probability: 0.001 },
    { edge: 'store', action: 'fail', as: 'SQLITE_FULL', probability: 0.0005 },
    { edge: 'store', action: 'delay', ms: 20, probability: 0.005 },
    { edge: 'socket', match: 'send', action: 'drop', probability: 0.002 },
    { edge: 'socket', match: 'send', action: 'truncate', probability: 0.002 },
    { edge: 'socket', match: 'send', action: 'delay', ms: 50, probability: 0.01 },
    { edge: 'file', action: 'fail', probability: 0.02 },
    { edge: 'child', action: 'drop', probability: 0.05 },
    { edge: 'clock', match: 'sleep', action: 'delay', ms: 30, probability: 0.01 },
  ],
};

const home = await mkdtemp(join(tmpdir(), 'hilda-soak-'));
const program = fileURLToPath(new URL('./parts/soak-daemon.js', import.meta.url));
const child = fork(program, [join(home, 'data')], {
  stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  execArgv: ['--expose-gc'],
});
const answers: ((said: unknown) => void)[] = [];
child.on('message', (said) => answers.shift()?.(said));
const heard = (): Promise<unknown> => new Promise((resolve) => answers.push(resolve));
const order = (asked: SoakOrder): Promise<unknown> => {
  const said = heard();
  child.send(asked);
  return said;
};
const { url, token } = (await heard()) as { readonly url: string; readonly token: string };

interface Look {
  readonly rssMiB: number;
  readonly fds: number;
  readonly threads: number;
  readonly handles: number;
  readonly strikes: number;
  readonly defects: number;
  /** What a full collection leaves; null where none was asked for. */
  readonly heapMiB: number | null;
}

async function look({ collect = false } = {}): Promise<Look> {
  const inside = (await order({ op: 'look', collect })) as Pick<
    Look,
    'handles' | 'strikes' | 'defects' | 'heapMiB'
  >;
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  const number = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1]);
  return {
    ...inside,
    rssMiB: number('VmRSS') / 1024,
    threads: number('Threads'),
    fds: readdirSync(`/proc/${child.pid}/fd`).length,
  };
}

const ended = new AbortController();
const { signal } = new AbortController();
const client = new DaemonClient(url, { token });
const codes: Record<string, number> = {};
const counts = { requests: 0, studies: 0, measurements: 0, channels: 0, events: 0, untyped: 0 };

/** Does the work again and again until the load ends; what it throws must have a code. */
async function load(pauseMs: number, work: () => Promise<void>): Promise<void> {
  while (!ended.signal.aborted) {
    try {
      counts.requests++;
      await work();
    } catch (thrown) {
      const { code } = asHildaError(thrown);
      codes[code] = (codes[code] ?? 0) + 1;
      if (!(thrown instanceof HildaError)) {
        counts.untyped++;
        console.error(thrown);
      }
    }
    await clock.sleep(pauseMs, { signal: ended.signal }).catch(() => {});
  }
}

for (const { id, state } of await client.discover({ signal }).then(({ devices }) => devices))
  if (state === 'sighted') await client.adopt(id, { signal });

let seed = 0;
const loads = [
  load(100, async () => {
    const spec = await smallSpec(home, { budget: { trials: 18 }, seed: ++seed, sampler: { name: 'nsga2' } });
    const { id } = await client.createStudy(spec, { signal });
    for (let isOver = false; !isOver && !ended.signal.aborted; ) {
      const { state } = (await client.study(id, { signal })).record;
      if (state === 'paused') await client.act(id, 'resume', { signal });
      isOver = state !== 'running' && state !== 'paused';
      await clock.sleep(100);
    }
    counts.studies++;
  }),
  load(50, async () => {
    const { sha256: model } = await client.uploadModel(writeOnnx(doublingNetwork()), { signal });
    const device = `fake-${counts.measurements % 4}`;
    const job = await client.startMeasurement({ model, device, protocol: 'quick' }, { signal });
    await client.ended(job, { signal, clock, everyMs: 20 });
    counts.measurements++;
  }),
  load(20, async () => {
    await client.devices({ signal });
    await client.jobs({ limit: 50 }, { signal });
  }),
  load(200, async () => {
    for (const { id } of (await client.studies({ signal })).slice(0, 3)) {
      await client.trials(id, { signal });
      await client.front(id, { signal });
    }
  }),
  load(100, async () => {
    const channel = new AbortController();
    const watching = (async () => {
      const options = { topics: ['devices', 'measurements', 'jobs'], clock, signal: channel.signal };
      for await (const event of watchEvents(url, options)) if (event !== 'subscribed') counts.events++;
    })().catch((thrown) => {
      if (!channel.signal.aborted) throw thrown;
    });
    // One that fails ends before its time.
    await Promise.race([clock.sleep(500), watching]);
    channel.abort();
    await watching;
    counts.channels++;
  }),
];

const startMs = clock.nowMs();
const lookMs = 5000;
const minuteOfLooks = 60_000 / lookMs;
const rssMiB: number[] = [];
let settled: Look | undefined;
/** The median of the last minute's looks. */
const restingRssMiB = (): number => median(rssMiB.slice(-minuteOfLooks));
let settledRssMiB = Number.NaN;
for (let minute = 0, atMs = 0; atMs < totalMs; atMs = clock.nowMs() - startMs) {
  const isFaulty = !flags.calm && Math.floor(atMs / 60_000) % 2 === 1;
  if (Math.floor(atMs / 60_000) !== minute) {
    minute = Math.floor(atMs / 60_000);
    await order({ op: 'faults', plan: isFaulty ? plan : null });
    console.error(JSON.stringify({ minute, ...(await look()), ...counts }));
  }
  rssMiB.push((await look()).rssMiB);
  if (!settled && atMs >= settledMs) {
    settledRssMiB = restingRssMiB();
    settled = await look({ collect: true });
  }
  await clock.sleep(Math.min(lookMs, totalMs - atMs));
}
settled ??= await look({ collect: true });
const endRssMiB = restingRssMiB();
await order({ op: 'faults', plan: null });
ended.abort();
await Promise.all(loads);
// What waited for a store that failed is tried again.
let queued = 1;
for (let waitedMs = 0; queued > 0 && waitedMs < 60_000; waitedMs += 1000) {
  await clock.sleep(1000);
  const [waiting, running] = await Promise.all(
    (['queued', 'running'] as const).map((state) => client.jobs({ state, limit: 1 }, { signal })),
  );
  queued = (waiting?.total ?? 0) + (running?.total ?? 0);
}
const last = await look({ collect: true });
const { stopMs, pending } = (await order({ op: 'stop' })) as { stopMs: number; pending: string[] };
await rm(home, { recursive: true, force: true, maxRetries: 3 });
const rounded = (value: number): number => Number(value.toFixed(3));
const figures = {
  minutes: Number(flags.minutes),
  rssGrowth: rounded(endRssMiB / settledRssMiB),
  rssMiB: Math.round(endRssMiB),
  heapGrowth: rounded((last.heapMiB ?? Number.NaN) / (settled.heapMiB ?? Number.NaN)),
  heapMiB: Math.round(last.heapMiB ?? Number.NaN),
  fdGrowth: last.fds - settled.fds,
  threadGrowth: last.threads - settled.threads,
  handleGrowth: last.handles - settled.handles,
  queued,
  strikes: last.strikes,
  defects: last.defects,
  ...counts,
  codes,
  stopMs: Math.round(stopMs),
  pending,
};
console.log(JSON.stringify({ bench: 'soak', figures }));
const grew = figures.fdGrowth > 5 || figures.threadGrowth > 5 || figures.handleGrowth > 5;
const wrong = counts.untyped + last.defects + queued + pending.length > 0;
process.exit(figures.rssGrowth > 1.15 || grew || wrong || stopMs > 5000 ? 1 : 0);
