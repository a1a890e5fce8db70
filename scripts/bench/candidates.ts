/**
 * `npm run bench -- candidates [--trials N]`: from an architecture to its finished measurement and accuracy, through
 * the daemon's own study service on this machine's CPU. Prints candidates a minute, first of the whole study with what a new
 * device costs, then of its second half (`steadyPerMinute`); and the share of the time spent outside the device and the
 * evaluator (bar: at most 0.10). A wait for a calm machine is neither: it counts as time outside.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../daemon/core/clock.js';
import type { Json } from '../../daemon/core/json.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { openDrivers } from '../../daemon/devices/registry.js';
import type { Evaluator } from '../../daemon/evaluate/contract.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import { createSampler } from '../../daemon/search/samplers/registry.js';
import { openStore } from '../../daemon/store/open-store.js';
import { openStudyParts, resolveSpace } from '../../daemon/study/parts.js';
import { runStudy } from '../../daemon/study/run-study.js';
import { parseStudySpec } from '../../daemon/study/spec.js';
import { type DeviceTime, timedDrivers } from './parts/timed-drivers.js';

const { values: flags } = parseArgs({
  options: { trials: { type: 'string', default: '30' }, space: { type: 'string', default: 'mbconv-fmnist' } },
});
const profilesDir = resolve('profiles');
const dataDir = await mkdtemp(join(tmpdir(), 'hilda-bench-'));
const { signal } = new AbortController();
const clock = systemClock;

const store = await openStore({ dataDir, clock });
const device: DeviceTime = { sessions: 0, measuringMs: 0, otherMs: 0 };
const drivers = timedDrivers((await openDrivers()).drivers, device);
const pool = new DevicePool({ store, drivers, clock });
const jobs = new Jobs({ store, pool, clock });
try {
  await pool.start(signal);
  await jobs.start(signal);
  const found = (await pool.discover()).find((d) => d.kind === 'onnxruntime');
  if (!found) throw new Error('no CPU device was found');
  await pool.adopt(found.id);
  const spec = resolveSpace(
    parseStudySpec({
      name: 'bench candidates',
      space: flags.space,
      sampler: { name: 'linas' },
      devices: [found.id],
      budget: { trials: Number(flags.trials) },
      seed: 1,
    }),
    profilesDir,
  );
  const parts = await openStudyParts(spec, profilesDir);
  let evaluatorMs = 0;
  const evaluator: Evaluator = {
    ...parts.evaluator,
    metrics: parts.evaluator.metrics,
    cost: parts.evaluator.cost,
    close: () => parts.evaluator.close(),
    async evaluate(architecture, options) {
      const started = clock.nowMs();
      const quality = await parts.evaluator.evaluate(architecture, options);
      evaluatorMs += clock.nowMs() - started;
      return quality;
    },
  };
  const sampler = createSampler(spec.sampler.name, spec.sampler.options);
  const study = await store.createStudy({
    name: spec.name,
    spec: spec as unknown as Json,
    sampler: sampler.state(),
    rng: Xoshiro128.fromSeed(spec.seed).state(),
  });
  const started = clock.nowMs();
  await runStudy({ ...parts, evaluator, spec, study, sampler, store, pool, jobs, clock }, { signal });
  const totalMs = clock.nowMs() - started;
  const taken = await store.measurements({ studyId: study.id, limit: 100_000 });
  const trials = await store.trials(study.id);
  const endedAtMs = trials
    .flatMap(({ state, finishedMs }) => (state === 'complete' && finishedMs !== null ? [finishedMs] : []))
    .sort((a, b) => a - b);
  await parts.evaluator.close();
  const deviceMs = device.measuringMs + device.otherMs;
  console.log(
    `${trials.length} trials, ${endedAtMs.length} complete, ${taken.length} measurements of ${device.sessions} sessions in ${(totalMs / 1000).toFixed(1)} s`,
  );
  console.log(
    `device ${(device.measuringMs / 1000).toFixed(1)} s measuring, ${(device.otherMs / 1000).toFixed(1)} s else; evaluator ${(evaluatorMs / 1000).toFixed(1)} s`,
  );
  const middle = Math.floor(endedAtMs.length / 2);
  const steadyMs = (endedAtMs.at(-1) ?? 0) - (endedAtMs[middle - 1] ?? 0);
  const figures = {
    perMinute: endedAtMs.length / (totalMs / 60_000),
    steadyPerMinute: (endedAtMs.length - middle) / (steadyMs / 60_000),
    hostShare: 1 - (deviceMs + evaluatorMs) / totalMs,
    trials: trials.length,
    complete: endedAtMs.length,
    measurements: taken.length,
    sessions: device.sessions,
    sessionMs: device.measuringMs / device.sessions,
  };
  console.log(JSON.stringify({ bench: 'candidates', figures }));
} finally {
  await jobs.stop();
  await pool.stop();
  await store.close();
  await rm(dataDir, { recursive: true, force: true });
}
