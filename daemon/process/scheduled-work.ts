import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { SuiteAlerts } from '../benchmarks/alerts/suite-alerts.js';
import { gateOf } from '../benchmarks/comparison/gate.js';
import type { BenchmarkRuns } from '../benchmarks/runs/benchmark-runs.js';
import { suiteOf, suiteSchema } from '../benchmarks/suites/suite.js';
import type { Clock } from '../core/clock.js';
import { asHildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { unlessAborted } from '../core/unless-aborted.js';
import type { HealthCheck, HealthChecks } from '../jobs/health-checks.js';
import type { Jobs } from '../jobs/jobs.js';
import { parseSelector } from '../jobs/selector.js';
import type { Firing, ScheduledWork } from '../schedules/schedule.js';
import { backUp } from '../store/upkeep/backup.js';

/** What schedules of each kind do, beside `probe`, which the predictors define. */

const suiteRequestSchema = z.strictObject({
  suite: suiteSchema,
  compare: z
    .string()
    .min(1)
    .max(100)
    .nullable()
    .default(null)
    .describe('What each run is held against: `baseline`, `last`, a run, or nothing.'),
});

export const scheduledSuites = (
  runs: Pick<BenchmarkRuns, 'start' | 'finished' | 'report' | 'check'>,
  { clock, alerts }: { readonly clock: Clock; readonly alerts: SuiteAlerts },
): ScheduledWork => {
  const finish = async (id: string, compare: string | null, { signal, schedule }: Firing): Promise<Json> => {
    const { state, suite } = await unlessAborted(runs.finished(id), signal);
    // The first run has nothing to be held against.
    const report = await runs.report(id, compare).catch((thrown: unknown) => {
      if (asHildaError(thrown).code !== 'NOT_FOUND') throw thrown;
      return runs.report(id, null);
    });
    const { broken, failed, unclear } = gateOf(report);
    const verdict = broken.length > 0 ? 'broken' : failed.length > 0 ? 'incomplete' : 'passed';
    const most = 20;
    if (verdict === 'broken') await alerts.broken(schedule, id, broken);
    if (verdict === 'passed') await alerts.passed(schedule);
    return {
      run: id,
      suite,
      state,
      verdict,
      compared: report.comparison?.with.id ?? null,
      broken: broken.slice(0, most),
      failed: failed.slice(0, most),
      unclear: unclear.length,
    };
  };
  return {
    check: async (request) => runs.check(suiteRequestSchema.parse(request).suite),
    run: async (request, firing) => {
      const { suite, compare } = suiteRequestSchema.parse(request);
      const { closesMs } = firing;
      const leftMinutes = closesMs === null ? undefined : Math.max(0.01, (closesMs - clock.nowMs()) / 60_000);
      const maxMinutes = [suite.maxMinutes, leftMinutes].filter((one) => one !== undefined);
      const limited = maxMinutes.length > 0 ? { maxMinutes: Math.min(...maxMinutes) } : {};
      const { id } = await runs.start(suiteOf({ ...suite, ...limited } as unknown as Json));
      await firing.note({ run: id });
      return finish(id, compare, firing);
    },
    resume: (request, noted, firing) =>
      finish((noted as { run: string }).run, suiteRequestSchema.parse(request).compare, firing),
  };
};

const healthRequestSchema = z.strictObject({
  devices: z.array(z.string().min(1).max(2000)).min(1).max(1000),
});

/** Checks each device, quarantined ones too: one that does not pass is named, and so is what followed. */
export const healthChecks = (
  jobs: Pick<Jobs, 'devicesOf'>,
  checks: Pick<HealthChecks, 'check'>,
): ScheduledWork => {
  const devicesOf = (text: string): Promise<DeviceId[]> =>
    jobs.devicesOf(parseSelector(text), { quarantined: true });
  return {
    check: async (request) => {
      for (const text of healthRequestSchema.parse(request).devices) await devicesOf(text);
    },
    run: async (request, { signal, schedule: name }) => {
      const { devices } = healthRequestSchema.parse(request);
      const ids = new Set((await Promise.all(devices.map(devicesOf))).flat());
      const found = await Promise.all([...ids].map((id) => checks.check(id, { name, signal })));
      const unfit = found
        .filter(({ outcome }) => outcome !== 'passed')
        .sort((a, b) => (a.device < b.device ? -1 : 1));
      const followed = (what: HealthCheck['followed']): DeviceId[] =>
        found.filter((one) => one.followed === what).map(({ device }) => device);
      const most = 100;
      return {
        checked: ids.size,
        fit: ids.size - unfit.length,
        unfit: unfit.slice(0, most).map(({ device, why }) => ({ device, why })),
        quarantined: followed('quarantined').slice(0, most),
        released: followed('released').slice(0, most),
      };
    },
  };
};

const backupRequestSchema = z.strictObject({
  keep: z.int().min(1).max(1000).default(7).describe('So many backups stay; older ones are removed.'),
});

/** Backs the data folder up into the folder beside it, `<data>-backups`: nobody but its owner names another place. */
export const scheduledBackups = (dataDir: string, clock: Clock): ScheduledWork => ({
  run: async (request) => {
    const { keep } = backupRequestSchema.parse(request);
    const folder = `${dataDir.replace(/[/\\]+$/, '')}-backups`;
    const nowMs = clock.nowMs();
    const name = new Date(nowMs).toISOString().slice(0, 19).replaceAll(':', '-');
    const { files } = await backUp(dataDir, join(folder, name), nowMs);
    const known = (await readdir(folder)).filter((one) => backupName.test(one)).sort();
    const old = known.slice(0, Math.max(0, known.length - keep));
    for (const one of old) await rm(join(folder, one), { recursive: true, force: true });
    return {
      folder: join(folder, name),
      bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
      removed: old.length,
    };
  },
});

/** Nothing else in the folder is touched. */
const backupName = /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d$/;
