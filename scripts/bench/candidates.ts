/**
 * `npm run bench -- candidates [--trials N]`: from an architecture to its finished measurement and accuracy, through
 * the daemon's own study service on this machine's CPU. Prints candidates a minute and the share of the time spent
 * outside the device and the evaluator (bar: at most 0.10).
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

const { values: flags } = parseArgs({
  options: { trials: { type: 'string', default: '30' }, space: { type: 'string', default: 'mbconv-fmnist' } },
});
const profilesDir = resolve('profiles');
const dataDir = await mkdtemp(join(tmpdir(), 'hilda-bench-'));
const { signal } = new AbortController();
const clock = systemClock;

const store = await openStore({ dataDir, clock });
const pool = new DevicePool({ store, drivers: (await openDrivers()).drivers, clock });
const jobs = new Jobs({ store, pool, clock });
try {
  await pool.start(signal);
  await jobs.start(signal);
  const device = (await pool.discover()).find((d) => d.kind === 'onnxruntime');
  if (!device) throw new Error('no CPU device was found');
  await pool.adopt(device.id);
  const spec = resolveSpace(
    parseStudySpec({
      name: 'bench candidates',
      space: flags.space,
      sampler: { name: 'linas' },
      devices: [device.id],
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
  const deviceMs = taken.reduce((sum, m) => sum + m.durationMs, 0);
  const trials = await store.trials(study.id);
  const complete = trials.filter((t) => t.state === 'complete').length;
  await parts.evaluator.close();
  console.log(
    `${trials.length} trials, ${complete} complete, ${taken.length} measurements in ${(totalMs / 1000).toFixed(1)} s`,
  );
  console.log(`device ${(deviceMs / 1000).toFixed(1)} s, evaluator ${(evaluatorMs / 1000).toFixed(1)} s`);
  const figures = {
    perMinute: complete / (totalMs / 60_000),
    hostShare: 1 - (deviceMs + evaluatorMs) / totalMs,
    trials: trials.length,
    complete,
    measurements: taken.length,
  };
  console.log(JSON.stringify({ bench: 'candidates', figures }));
} finally {
  await jobs.stop();
  await pool.stop();
  await store.close();
  await rm(dataDir, { recursive: true, force: true });
}
