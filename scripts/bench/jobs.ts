/**
 * `npm run bench -- jobs [--devices 1000] [--jobs 10] [--few 100]`: the queue alone, over devices that answer at once.
 * Prints jobs a second from submission to stored result, SQL statements a job with `--devices` devices and with `--few`,
 * transactions included (bar: at most 5, and no more with more devices), and the 99th percentile of a claim, from the
 * call of the store to its answer (bar: at most 10 ms).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import type { Measurement } from '../../daemon/core/measurement.js';
import type { Target } from '../../daemon/core/target.js';
import type { Driver } from '../../daemon/devices/contract.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { loadProtocol } from '../../daemon/measure/protocols.js';
import { referenceNetworks } from '../../daemon/measure/references.js';
import { structureHash } from '../../daemon/network/canonical-text.js';
import { openStore } from '../../daemon/store/open-store.js';

const { values: flags } = parseArgs({
  options: {
    devices: { type: 'string', default: '1000' },
    few: { type: 'string', default: '100' },
    jobs: { type: 'string', default: '10' },
  },
});
const clock = systemClock;
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

const paper = (count: number): Driver => ({
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
  open: async () => ({
    target,
    limits: { memoryBytes: null, weightBytes: null },
    measure: async () => measurement,
    close: async () => {},
  }),
});

interface Figures {
  readonly jobsPerSecond: number;
  readonly statementsPerJob: number;
  readonly claimP99Ms: number;
  readonly claimP50Ms: number;
}

async function run(count: number, each: number): Promise<Figures> {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-bench-jobs-'));
  let statements = 0;
  const store = await openStore({ dataDir, clock, onStatement: () => statements++ });
  const claimsMs: number[] = [];
  const timed = {
    ...store,
    claimJobs: async (...given: Parameters<typeof store.claimJobs>) => {
      const beganUs = clock.monotonicUs();
      const answer = await store.claimJobs(...given);
      const tookMs = (clock.monotonicUs() - beganUs) / 1000;
      for (const _ of answer) claimsMs.push(tookMs);
      return answer;
    },
  };
  const pool = new DevicePool({ store, drivers: [paper(count)], clock });
  const jobs = new Jobs({ store: timed, pool, clock, limit: count * each });
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
    // Each device is opened once, which is no part of a job.
    await Promise.all(Array.from({ length: count }, (_, n) => submit(n)));
    claimsMs.length = 0;
    statements = 0;
    const beganMs = clock.nowMs();
    await Promise.all(Array.from({ length: count * each }, (_, n) => submit(n)));
    const seconds = (clock.nowMs() - beganMs) / 1000;
    const done = await store.jobCount({ states: ['done'] });
    if (done !== count * (each + 1)) throw new Error(`${done} jobs are done, not ${count * (each + 1)}`);
    claimsMs.sort((a, b) => a - b);
    const at = (share: number): number => claimsMs[Math.floor((claimsMs.length - 1) * share)] as number;
    return {
      jobsPerSecond: (count * each) / seconds,
      statementsPerJob: statements / (count * each),
      claimP99Ms: at(0.99),
      claimP50Ms: at(0.5),
    };
  } finally {
    await jobs.stop();
    await pool.stop();
    await store.close();
    await rm(dataDir, { recursive: true, force: true });
  }
}

const few = await run(Number(flags.few), Number(flags.jobs));
console.log(`${flags.few} devices: ${JSON.stringify(few)}`);
const figures = {
  ...(await run(Number(flags.devices), Number(flags.jobs))),
  statementsPerJobOfFew: few.statementsPerJob,
};
console.log(JSON.stringify({ bench: 'jobs', devices: Number(flags.devices), figures }));
