import type { DeviceId } from '../core/ids.js';
import type { AlertStore, NewNotice, NoticeAlert } from './alert-contract.js';
import { type AlertRow, live, toAlert } from './alert-rows.js';
import type { Database, Write } from './database.js';
import { toJsonText } from './json-columns.js';
import { queueDeliveries } from './webhooks.js';

export const noticeStore = (database: Database): Pick<AlertStore, 'raiseNotice' | 'resolveNotices'> => ({
  raiseNotice: (notice) => database.write((write) => raiseNotice(notice, write)),
  resolveNotices: (kind, subject) => database.write((write) => resolveNotices(kind, subject, write)),
});

/** See `AlertStore.raiseNotice`; part of a write that it becomes durable with. */
export async function raiseNotice(notice: NewNotice, write: Write): Promise<NoticeAlert | null> {
  const { db, nowMs, next, publish } = write;
  const { kind, subject, deviceId, text } = notice;
  const known = await db('alerts')
    .where({ kind, subject })
    .whereNull('resolved_ms')
    .andWhere((either) => either.whereNotNull('acknowledged').orWhere({ detail: toJsonText(notice.detail) }))
    .first('ordinal');
  if (known) return null;
  // A mute of one network or metric is about changes.
  const mute = live(db, nowMs)
    .whereNull('structure_hash')
    .whereNull('metric')
    .andWhere((either) => either.whereNull('device_id').orWhere('device_id', deviceId ?? ''));
  const row: AlertRow = {
    ...noChange,
    ordinal: await next('alerts'),
    kind,
    device_id: deviceId,
    raised_ms: nowMs,
    muted: (await mute.first('ordinal')) !== undefined,
    subject,
    text,
    detail: toJsonText(notice.detail),
  };
  await db('alerts').insert(row);
  const record = toAlert(row) as NoticeAlert;
  const { id, muted } = record;
  await publish('alerts', { type: 'alert', id, kind, subject, deviceId, text, muted });
  if (!muted) await queueDeliveries({ kind: 'alert', body: messageOf(record) }, write);
  return record;
}

/** See `AlertStore.resolveNotices`. */
export async function resolveNotices(
  kind: NewNotice['kind'],
  subject: string,
  write: Write,
): Promise<number> {
  const { db, nowMs, publish } = write;
  const rows: AlertRow[] = await db('alerts')
    .where({ kind, subject })
    .whereNull('resolved_ms')
    .orderBy('ordinal');
  if (rows.length === 0) return 0;
  await db('alerts').where({ kind, subject }).whereNull('resolved_ms').update({ resolved_ms: nowMs });
  for (const row of rows)
    await publish('alerts', { type: 'alert-returned', id: `alert-${row.ordinal}`, kind, subject });
  // However many runs broke, that it is well again is one message.
  const last = toAlert({ ...(rows.at(-1) as AlertRow), resolved_ms: nowMs }) as NoticeAlert;
  if (!last.muted) await queueDeliveries({ kind: 'alert-returned', body: messageOf(last) }, write);
  return rows.length;
}

const messageOf = ({ muted: _, acknowledged: __, ...notice }: NoticeAlert): NewNotice['detail'] =>
  notice as unknown as NewNotice['detail'];

/** Columns that a notice leaves empty. */
const noChange = {
  acknowledged: null,
  resolved_ms: null,
  series: null,
  structure_hash: null,
  metric: null,
  since: null,
  between_first: null,
  between_last: null,
  found_at: null,
  returned_at: null,
  since_ms: null,
  ratio: null,
  ratio_low: null,
  ratio_high: null,
  cause: null,
  differences: null,
  device_id: null as DeviceId | null,
} as const;
