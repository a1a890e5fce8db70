import { mkdir, readdir } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { HildaError } from '../../core/errors.js';
import type { FleetOutcome } from '../../simulation/outcome.js';
import { simulateFleet } from '../../simulation/simulate-fleet.js';
import { parseFleetSpec } from '../../simulation/spec.js';
import type { CliContext } from '../context.js';
import { percent } from '../describe-change.js';
import { formatTime } from '../format.js';
import { readSpec } from '../read-input.js';
import { uploaded } from '../read-suite.js';
import { formatFields } from '../terminal/fields.js';
import { Progress } from '../terminal/progress.js';
import { formatTable } from '../terminal/table.js';

interface Options {
  readonly keep?: string;
  readonly profiles: string;
}

/** Runs by itself: the parts of a daemon are in this process, on a clock of their own. */
export async function simulateAction(context: CliContext, file: string, options: Options): Promise<void> {
  const spec = parseFleetSpec(await readSpec(file), file);
  const shown = new Progress(context.terminal);
  const outcome = await simulateFleet(spec, {
    dataDir: options.keep === undefined ? ':memory:' : await emptyFolder(options.keep),
    profilesDir: options.profiles,
    suiteFrom: async ({ networks, ...suite }, put) => ({
      ...suite,
      networks: (
        await Promise.all(networks.map((entry) => uploaded(entry, dirname(resolve(file)), put)))
      ).flat(),
    }),
    signal: context.signal,
    onDay: (day) => shown.show(`day ${day} of ${spec.days} of the virtual fleet ${spec.fleet}`),
  }).finally(() => shown.end());
  context.answer('fleet-simulation', { outcome }, () => describe(outcome, context));
}

/** Throws USAGE_INVALID for a folder that holds anything: what was measured must not mix with what is virtual. */
async function emptyFolder(folder: string): Promise<string> {
  const path = resolve(folder);
  await mkdir(path, { recursive: true });
  if ((await readdir(path)).length === 0) return path;
  throw new HildaError('USAGE_INVALID', `${path} is not empty`, {
    hint: 'Name a new folder: virtual figures and measured ones stay apart.',
  });
}

/** Lines of alerts that are written out. */
const mostAlerts = 20;

function describe(outcome: FleetOutcome, { terminal }: CliContext): string {
  const { fleet, seed, startMs, endMs, devices, schedules, cases, measurements, quarantined } = outcome;
  const { alerts, firmware, faults, troubles } = outcome;
  const named = new Set(firmware.map(({ version }) => version));
  const explained = alerts.filter(({ differences }) =>
    differences.some(({ path, since }) => path === 'firmware' && named.has(since)),
  ).length;
  return [
    formatFields([
      ['fleet', `${fleet}, ${devices} virtual devices, seed ${seed}: nothing was measured`],
      ['time', `${formatTime(startMs)} to ${formatTime(endMs)} UTC`],
      ...schedules.map(({ name, firings }) => ['schedule', `${name}: ${counted(firings)}`] as const),
      ['asked', counted(cases)],
      ['measurements', counted(measurements)],
      ...firmware.map(
        ({ version, atMs, ratio, devices: on, named: found, medianRatio, medianDaysUntilAlert }) =>
          [
            'firmware',
            `${version} at ${formatTime(atMs)}, ${percent(ratio)} put in: named by alerts of ${found} of ${on} devices${medianRatio === null ? '' : `, median ${percent(medianRatio)}, after ${medianDaysUntilAlert?.toFixed(1)} days`}`,
          ] as const,
      ),
      ...faults.map(({ kind, faults: count, endings }) => [kind, `${count}: ${counted(endings)}`] as const),
      ['quarantined', quarantined.length === 0 ? 'none' : quarantined.map(({ device }) => device).join(', ')],
      ...(Object.keys(troubles).length === 0 ? [] : [['told', counted(troubles)] as const]),
      ['alerts', `${alerts.length}; ${alerts.length - explained} of them name no firmware that was put in`],
    ]),
    ...(alerts.length === 0
      ? []
      : [
          formatTable(
            [
              { title: 'RAISED (UTC)', value: (one: (typeof alerts)[number]) => formatTime(one.raisedMs) },
              { title: 'DEVICE', value: (one) => one.device },
              { title: 'NETWORK', value: (one) => `${one.network}, ${one.metric}` },
              { title: 'CHANGE', value: (one) => percent(one.ratio) },
              { title: 'SINCE (UTC)', value: (one) => formatTime(one.sinceMs) },
              { title: 'WHAT CHANGED', value: (one) => changed(one.differences) },
            ],
            alerts.slice(0, mostAlerts),
            terminal,
          ),
          ...(alerts.length > mostAlerts ? [`and ${alerts.length - mostAlerts} more: --json lists all`] : []),
        ]),
  ].join('\n');
}

const counted = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([what, count]) => `${count} ${what}`)
    .join(', ') || 'none';

/** The firmware alone where it changed: the others follow from it. */
function changed(differences: FleetOutcome['alerts'][number]['differences']): string {
  const firmware = differences.filter(({ path }) => path === 'firmware');
  return (firmware.length > 0 ? firmware : differences.slice(0, 2))
    .map(({ path, before, since }) => `${path} ${before} -> ${since}`)
    .join('; ');
}
