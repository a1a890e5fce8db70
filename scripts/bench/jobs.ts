/**
 * `npm run bench -- jobs [--devices 1000] [--jobs 10] [--few 100] [--work-ms 5000] [--seconds 30]`: the queue alone, over
 * devices on paper and SQLite on disk.
 *
 * 1. Saturated: devices answer at once, all ask at once. Jobs a second from submission to stored result, and SQL statements a
 *    job with `--devices` and with `--few` devices, transactions included (bar: at most 5, and no more with more devices).
 * 2. Paced: each device works for half to one and a half of `--work-ms`, and a job waits for it, so that it asks when its work
 *    ends: `devices / work-ms` jobs a second. Owners submit the next job when one ends.
 *
 * A claim takes from the moment a device is free, with its result in hand, to the moment it works on the next job: the result
 * is stored and the next job claimed meanwhile. `claimP99Ms` is the 99th percentile when paced (bar: at most 10 ms);
 * `timerP99Ms` says how late a timer of 5 ms is then, and `syncP99Ms` how long the disk takes meanwhile to keep 4 KiB in a file of
 * its own, of which each claim needs one: no claim is faster. `syncIdleP99Ms` is the same with nothing beside. Saturated, each of N devices waits for the N - 1 others on one connection: `saturatedP99Ms` cannot be below N / jobs a second.
 */
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import type { Measurement } from '../../daemon/core/measurement.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Target } from '../../daemon/core/target.js';
import type { Driver } from '../../daemon/devices/contract.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { referenceNetworks } from '../../daemon/measure/references.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import type { Store } from '../../daemon/store/contract.js';
import { openStore } from '../../daemon/store/open-store.js';

const { values: flags } = parseArgs({
  options: {
    devices: { type: 'string', default: '1000' },
    few: { type: 'string', default: '100' },
    jobs: { type: 'string', default: '10' },
    'work-ms': { type: 'string', default: '5000' },
    seconds: { type: 'string', default: '30' },
  },
});
const clock = systemClock;
const rng = Xoshiro128.fromSeed(1);
const protocol = loadProtocol('quick');
const network = referenceNetworks().convolution;
/** Emulated: it counts, so that nothing is repeated and no variance is learnt beside the queue. */
const target: Target = {
  model: 'paper',
  clockHz: null,
  runtime: 'paper',
  runtimeVersion: '1',
  provider: 'paper',
  threads: 1,
  dtype: 'int8',
  tier: 'qemu',
};
const measurement: Measurement = {
  target,
  provenance: 'emulated',
  protocol: protocol.name,
  structureHash: structureHash(network),
  weightsHash: '0'.repeat(64),
  latency: null,
  counts: null,
  memory: { weightBytes: 0, activationPeakBytes: null, peakBytes: null, runPeakRssBytes: null },
  verdict: 'valid',
  reason: 'on paper',
  manifest: {},
  rounds: [],
  takenAtMs: 0,
  durationMs: 0,
};

/** When each device was last free, us; what it did until then is stored and its next job claimed since. */
class Claims {
  readonly #freeUs = new Map<string, number>();
  readonly #tookMs: number[] = [];

  begins(device: string): void {
    const freeUs = this.#freeUs.get(device);
    if (freeUs !== undefined) this.#tookMs.push((clock.monotonicUs() - freeUs) / 1000);
  }

  ends(device: string): void {
    this.#freeUs.set(device, clock.monotonicUs());
  }

  restart(): void {
    this.#freeUs.clear();
    this.#tookMs.length = 0;
  }

  quantile(share: number): number {
    const sorted = [...this.#tookMs].sort((a, b) => a - b);
    return sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
  }
}

const paper = (count: number, claims: Claims, workMs: () => number): Driver => ({
  kind: 'paper',
  async *discover() {
    for (let i = 0; i < count; i++)
      yield {
        id: `paper-${i}` as DeviceId,
        kind: 'paper',
        label: 'paper',
        target,
        host: null,
        obstacle: null,
      };
  },
  open: async ({ id }) => ({
    target,
    limits: { memoryBytes: null, weightBytes: null },
    measure: async (_network, _protocol, { signal }) => {
      claims.begins(id);
      const ms = workMs();
      if (ms > 0) await clock.sleep(ms, { signal });
      claims.ends(id);
      return measurement;
    },
    close: async () => {},
  }),
});

interface Laid {
  readonly count: number;
  readonly claims: Claims;
  readonly store: Store;
  readonly statements: () => number;
  /** By their kind, since the last restart. */
  readonly kinds: ReadonlyMap<string, number>;
  /** A job for the device of this number. */
  readonly submit: (n: number) => Promise<unknown>;
}

/** Lays out the devices, each opened once, which is no part of a job. */
async function withDevices<T>(
  count: number,
  workMs: () => number,
  body: (laid: Laid) => Promise<T>,
): Promise<T> {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-bench-jobs-'));
  let statements = 0;
  const kinds = new Map<string, number>();
  const onStatement = (sql: string): void => {
    statements++;
    const kind =
      /^(WITH[^)]*\) AS \(VALUES).*?(\b(UPDATE|INSERT INTO) \w+)/s.exec(sql)?.[2] ?? sql.slice(0, 24);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  };
  const store = await openStore({ dataDir, clock, onStatement });
  const claims = new Claims();
  let isOpen = false;
  const pool = new DevicePool({
    store,
    drivers: [paper(count, claims, () => (isOpen ? workMs() : 0))],
    clock,
  });
  const jobs = new Jobs({ store, pool, clock, limit: 1_000_000 });
  const { signal } = new AbortController();
  try {
    await pool.start(signal);
    await pool.discover({ signal });
    await jobs.start(signal);
    const submit = (n: number) =>
      jobs.run(
        {
          work: { kind: 'measure', protocol, calibration: null, ramBytes: null },
          network: { structure: measurement.structureHash },
          devices: { device: `paper-${n % count}` as DeviceId },
          owner: { kind: 'benchmark', name: 'jobs' },
          given: { network },
        },
        { signal },
      );
    await Promise.all(Array.from({ length: count }, (_, n) => submit(n)));
    isOpen = true;
    claims.restart();
    statements = 0;
    return await body({ count, claims, store, statements: () => statements, kinds, submit });
  } finally {
    await jobs.stop();
    await pool.stop();
    await store.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

const saturated = (devices: number, each: number) =>
  withDevices(
    devices,
    () => 0,
    async ({ count, claims, store, statements, submit }) => {
      const beganMs = clock.nowMs();
      await Promise.all(Array.from({ length: count * each }, (_, n) => submit(n)));
      const seconds = (clock.nowMs() - beganMs) / 1000;
      const done = await store.jobCount({ states: ['done'] });
      if (done !== count * (each + 1)) throw new Error(`${done} jobs are done, not ${count * (each + 1)}`);
      return {
        jobsPerSecond: (count * each) / seconds,
        statementsPerJob: statements() / (count * each),
        saturatedP50Ms: claims.quantile(0.5),
        saturatedP99Ms: claims.quantile(0.99),
      };
    },
  );

const paced = (devices: number, workMs: number, seconds: number) =>
  withDevices(
    devices,
    () => workMs * (0.5 + rng.next()),
    async ({ count, claims, statements, kinds, submit }) => {
      const endsMs = clock.nowMs() + workMs + seconds * 1000;
      let ended = 0;
      let [before, said] = [0, 0];
      const owner = async (n: number): Promise<void> => {
        while (clock.nowMs() < endsMs) {
          await submit(n);
          ended++;
        }
      };
      // Two owners a device: one job waits while another one runs. They spread out during the first round.
      const owners = Array.from({ length: 2 * count }, (_, n) => owner(n));
      await clock.sleep(workMs);
      claims.restart();
      const base = new Map(kinds);
      [before, said] = [ended, statements()];
      const lateMs: number[] = [];
      const syncing = syncs(() => clock.nowMs() < endsMs, 20);
      while (clock.nowMs() < endsMs) {
        const dueUs = clock.monotonicUs() + 5000;
        await clock.sleep(5);
        lateMs.push((clock.monotonicUs() - dueUs) / 1000);
      }
      const [jobs, sent] = [ended - before, statements() - said];
      const ofJob = [...kinds].map(
        ([kind, n]) => `${kind}: ${((n - (base.get(kind) ?? 0)) / jobs).toFixed(2)}`,
      );
      console.log(`statements a job, paced:\n  ${ofJob.join('\n  ')}`);
      const figures = {
        pacedJobsPerSecond: jobs / seconds,
        pacedStatementsPerJob: sent / jobs,
        claimP50Ms: claims.quantile(0.5),
        claimP99Ms: claims.quantile(0.99),
        timerP99Ms: p99(lateMs),
        syncP99Ms: p99(await syncing),
      };
      await Promise.all(owners);
      return figures;
    },
  );

/** How long the disk takes to keep a page, ms, again and again while `goesOn`. */
async function syncs(goesOn: (count: number) => boolean, pauseMs: number): Promise<number[]> {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-bench-sync-'));
  const file = await open(join(dir, 'page'), 'w');
  const tookMs: number[] = [];
  while (goesOn(tookMs.length)) {
    await file.write(new Uint8Array(4096), 0, 4096, 4096 * (tookMs.length % 300));
    const beganUs = clock.monotonicUs();
    await file.datasync();
    tookMs.push((clock.monotonicUs() - beganUs) / 1000);
    if (pauseMs > 0) await clock.sleep(pauseMs);
  }
  await file.close();
  await rm(dir, { recursive: true, force: true });
  return tookMs;
}

const p99 = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(0.99 * (values.length - 1))] as number;

const few = await saturated(Number(flags.few), Number(flags.jobs));
console.log(`${flags.few} devices: ${JSON.stringify(few)}`);
const many = await saturated(Number(flags.devices), Number(flags.jobs));
console.log(`${flags.devices} devices: ${JSON.stringify(many)}`);
const atWork = await paced(Number(flags.devices), Number(flags['work-ms']), Number(flags.seconds));
const figures = {
  ...many,
  statementsPerJobOfFew: few.statementsPerJob,
  saturatedFloorMs: (1000 * Number(flags.devices)) / many.jobsPerSecond,
  ...atWork,
  syncIdleP99Ms: p99(await syncs((count) => count < 300, 0)),
};
console.log(JSON.stringify({ bench: 'jobs', devices: Number(flags.devices), figures }));
