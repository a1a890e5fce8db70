import type { Knex } from 'knex';
import type { AlertId, DeviceId, MeasurementId } from '../core/ids.js';
import type { CostMetric } from '../core/measurement.js';
import type { AlertRecord, ChangeAlert, NewAlert, NoticeAlert } from './alert-contract.js';
import { fromJsonText } from './json-columns.js';

/** Columns of a change are null in notices, and the other way round. */
export interface AlertRow {
  readonly ordinal: number;
  readonly kind: AlertRecord['kind'];
  readonly device_id: DeviceId | null;
  readonly raised_ms: number;
  readonly muted: number | boolean;
  readonly acknowledged: string | null;
  readonly series: string | null;
  readonly structure_hash: string | null;
  readonly metric: CostMetric | null;
  readonly since: number | null;
  readonly between_first: number | null;
  readonly between_last: number | null;
  readonly found_at: number | null;
  readonly returned_at: number | null;
  readonly since_ms: number | null;
  readonly ratio: number | null;
  readonly ratio_low: number | null;
  readonly ratio_high: number | null;
  readonly cause: NewAlert['cause'] | null;
  readonly differences: string | null;
  readonly subject: string | null;
  readonly text: string | null;
  readonly detail: string | null;
  readonly resolved_ms: number | null;
}

/** Mutes that have not run out. */
export const live = (db: Knex, nowMs: number): Knex.QueryBuilder =>
  db('alert_mutes').where((until) => until.whereNull('until_ms').orWhere('until_ms', '>', nowMs));

/** Measurements are numbered in the order in which they are stored. */
const measurementId = (ordinal: number | null): MeasurementId => `m${ordinal}` as MeasurementId;

export function toAlert(row: AlertRow): AlertRecord {
  const what = `alert ${row.ordinal}`;
  const raised = {
    id: `alert-${row.ordinal}` as AlertId,
    raisedMs: row.raised_ms,
    muted: Boolean(row.muted),
    acknowledged:
      row.acknowledged === null
        ? null
        : fromJsonText<NonNullable<AlertRecord['acknowledged']>>(row.acknowledged, what),
  };
  if (row.kind !== 'change')
    return {
      ...raised,
      kind: row.kind,
      subject: row.subject as string,
      deviceId: row.device_id,
      text: row.text as string,
      detail: fromJsonText(row.detail as string, what),
      resolvedMs: row.resolved_ms,
    } satisfies NoticeAlert;
  return {
    ...raised,
    kind: 'change',
    series: row.series as string,
    deviceId: row.device_id as DeviceId,
    structureHash: row.structure_hash as string,
    metric: row.metric as CostMetric,
    since: measurementId(row.since),
    sinceMs: row.since_ms as number,
    between: [measurementId(row.between_first), measurementId(row.between_last)],
    foundAt: measurementId(row.found_at),
    returnedAt: row.returned_at === null ? null : measurementId(row.returned_at),
    ratio: row.ratio as number,
    ratioCi: [row.ratio_low as number, row.ratio_high as number],
    cause: row.cause as NewAlert['cause'],
    differences: fromJsonText(row.differences as string, what),
  } satisfies ChangeAlert;
}
