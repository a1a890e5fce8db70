import type { Clock } from '../../core/clock.js';
import type { DeviceId } from '../../core/ids.js';
import type { DeviceRecord, Store } from '../../store/contract.js';
import { type Availability, availabilityOf, lastDayMs, lastWeekMs } from './availability.js';
import {
  healthMarks,
  type LevelChange,
  lastingChange,
  outsideInARow,
  type ReferenceChart,
  referenceChart,
  referenceNames,
} from './reference-levels.js';
import { checksPassed } from './rules.js';

/** All that is known of how well a device does. */
export interface DeviceHealth {
  readonly device: DeviceRecord;
  readonly summary: string;
  readonly references: readonly (ReferenceChart & { readonly change: LevelChange | null })[];
  readonly availability: { readonly day: Availability; readonly week: Availability };
  /** Of the last week's jobs. */
  readonly failures: {
    readonly endedJobs: number;
    readonly kinds: readonly { readonly code: string; readonly count: number; readonly lastMs: number }[];
  };
}

interface Parts {
  readonly store: Store;
  readonly clock: Clock;
}

/** `changes`: changes of the references' levels are looked for, which takes a quarter of a second. Throws DEVICE_UNKNOWN. */
export async function deviceHealth(
  id: DeviceId,
  { store, clock }: Parts,
  { changes = true }: { readonly changes?: boolean } = {},
): Promise<DeviceHealth> {
  const device = await store.device(id);
  const references = (await referenceCharts(device, store)).map((chart) => ({
    ...chart,
    change: changes ? lastingChange(chart) : null,
  }));
  const availability = {
    day: await availabilityOf(id, lastDayMs, { store, clock }),
    week: await availabilityOf(id, lastWeekMs, { store, clock }),
  };
  const sinceMs = clock.nowMs() - lastWeekMs;
  const failures = {
    endedJobs: await store.endedJobCount(id, sinceMs),
    kinds: await store.jobFailures(id, sinceMs),
  };
  const known = { device, references, availability, failures };
  return { ...known, summary: summaryOf(known) };
}

/** Of both references, by what the device has measured since its former level was forgotten. */
export async function referenceCharts(
  device: DeviceRecord,
  store: Pick<Store, 'measurements' | 'value'>,
): Promise<ReferenceChart[]> {
  const { learnFromMs: sinceMs } = await healthMarks(store, device.id);
  const charts: ReferenceChart[] = [];
  for (const name of referenceNames) charts.push(await referenceChart(name, device, { store, sinceMs }));
  return charts;
}

/** In one line: what is wrong, or that nothing is. */
function summaryOf({ device, references, availability, failures }: Omit<DeviceHealth, 'summary'>): string {
  const { quarantine, reason } = device;
  const parts: string[] = [];
  if (quarantine) {
    const left =
      quarantine.by === 'hand'
        ? 'until it is released'
        : `${quarantine.passed} of ${checksPassed} checks passed`;
    parts.push(`in quarantine${reason === null ? '' : ` (${reason})`}, ${left}`);
  }
  for (const { reference, points, limits, change } of references) {
    const outside = outsideInARow({ points });
    if (outside > 0) parts.push(`${reference} reference outside its limits ${outside} times in a row`);
    else if (change) parts.push(`${reference} reference changed by ${percent(change.ratio - 1)}`);
    else if (limits) parts.push(`${reference} reference inside its limits`);
  }
  if (!references.some(({ limits }) => limits)) parts.push('too few reference measurements for limits');
  const { share } = availability.day;
  if (share !== null) parts.push(`seen ${percent(share)} of the last day`);
  const failed = failures.kinds.reduce((sum, { count }) => sum + count, 0);
  if (failures.endedJobs > 0) parts.push(`${failed} of ${failures.endedJobs} jobs failed in a week`);
  return parts.join('; ');
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
