import type { DeviceId, MeasurementId } from '../../core/ids.js';
import { targetKey } from '../../core/target.js';
import { referenceNetworks } from '../../measure/references.js';
import { structureHash } from '../../network/canonical-text.js';
import { findChanges } from '../../predict/changes/watch.js';
import type { DeviceRecord, MeasurementRecord, Store } from '../../store/contract.js';
import { type Conditions, conditionsOf } from './conditions.js';
import { controlChart, type Limits, type Standing } from './control-chart.js';

export const referenceNames = ['convolution', 'transformer'] as const;
export type ReferenceName = (typeof referenceNames)[number];

export interface ReferencePoint extends Conditions {
  readonly measurement: MeasurementId;
  readonly takenAtMs: number;
  readonly value: number;
  readonly standing: Standing;
}

/** What a reference network took on a device, measurement by measurement, beside the limits that it taught. */
export interface ReferenceChart {
  readonly reference: ReferenceName;
  /** Microseconds as the clock gave them, or what the device counts. A ratio to itself would not show that it slowed. */
  readonly unit: 'us' | 'cycles' | 'instructions';
  /** Oldest first. */
  readonly points: readonly ReferencePoint[];
  readonly limits: Limits | null;
  readonly falseAlarmRate: number;
}

/** A lasting change of a reference's level. */
export interface LevelChange {
  readonly since: MeasurementId;
  readonly ratio: number;
}

/** Measurements of each reference that are looked at. */
const most = 120;
const mostForChanges = 60;

/** The measurements of one reference network that are comparable with the newest one, oldest first. */
export async function referenceChart(
  reference: ReferenceName,
  device: DeviceRecord,
  { store, sinceMs }: { readonly store: Pick<Store, 'measurements'>; readonly sinceMs: number },
): Promise<ReferenceChart> {
  const filter = { deviceId: device.id, structureHash: hashOf(reference), verdict: 'valid' } as const;
  const found = (await store.measurements({ ...filter, limit: most })).filter(
    ({ takenAtMs }) => takenAtMs >= sinceMs,
  );
  const key = found[0] && comparableBy(found[0]);
  const taken = found.filter((one) => comparableBy(one) === key).reverse();
  const values = taken.map(levelOf);
  const chart = controlChart(values);
  return {
    reference,
    unit: taken[0]?.counts && !taken[0].latency ? taken[0].counts.unit : 'us',
    points: taken.map((one, i) => ({
      measurement: one.id,
      takenAtMs: one.takenAtMs,
      value: values[i] as number,
      standing: chart.standings[i] as Standing,
      ...conditionsOf(one.manifest),
    })),
    limits: chart.limits,
    falseAlarmRate: chart.falseAlarmRate,
  };
}

/** The latest one among the newest points, null for none: a small one need not leave the limits. Takes some 2 ms a point. */
export function lastingChange({ points, unit }: ReferenceChart): LevelChange | null {
  if (unit !== 'us') return null;
  const newest = points.slice(-mostForChanges);
  const change = findChanges(newest.map(({ value }) => ({ value }))).at(-1);
  if (!change || change.returnedAt !== undefined) return null;
  return { since: (newest[change.since] as ReferencePoint).measurement, ratio: change.ratio };
}

/** How many of the newest points since a moment lie outside, one after the other. */
export function outsideInARow({ points }: Pick<ReferenceChart, 'points'>, sinceMs = 0): number {
  let count = 0;
  for (const { standing, takenAtMs } of [...points].reverse()) {
    if (standing !== 'outside' || takenAtMs < sinceMs) break;
    count++;
  }
  return count;
}

/** The structure hash by which measurements of a reference are found. */
function hashOf(reference: ReferenceName): string {
  hashes ??= {
    convolution: structureHash(referenceNetworks().convolution),
    transformer: structureHash(referenceNetworks().transformer),
  };
  return hashes[reference];
}

let hashes: Readonly<Record<ReferenceName, string>> | undefined;

const levelOf = ({ latency, counts }: MeasurementRecord): number =>
  latency ? latency.rawUs.median : (counts?.total ?? Number.NaN);

/** Another firmware or another version is expected to take another time. */
const comparableBy = ({ target, counts, manifest }: MeasurementRecord): string =>
  JSON.stringify([targetKey(target), counts?.firmwareBuild ?? manifest.firmwareBuild ?? null]);

/** Where the reference charts of a device begin: a person may say that its former level counts no more. */
export interface HealthMarks {
  /** Measurements before it teach no limits. */
  readonly learnFromMs: number;
  /** Checks before it count for no rule: it was taken back since. */
  readonly countFromMs: number;
}

const marksKey = (id: DeviceId): string => `health ${id}`;

export async function healthMarks(store: Pick<Store, 'value'>, id: DeviceId): Promise<HealthMarks> {
  const known = (await store.value(marksKey(id))) as Partial<HealthMarks> | undefined;
  return { learnFromMs: known?.learnFromMs ?? 0, countFromMs: known?.countFromMs ?? 0 };
}

export const setHealthMarks = (
  store: Pick<Store, 'setValue'>,
  id: DeviceId,
  marks: HealthMarks,
): Promise<void> => store.setValue(marksKey(id), { ...marks });
