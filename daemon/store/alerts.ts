import type { Knex } from 'knex';
import { HildaError } from '../core/errors.js';
import type { AlertId, DeviceId, MeasurementId, MuteId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { CostMetric } from '../core/measurement.js';
import type {
  AlertFilter,
  AlertMute,
  AlertStore,
  ChangeAlert,
  NewAlert,
  Returned,
} from './alert-contract.js';
import { type AlertRow, live, toAlert } from './alert-rows.js';
import type { Database, Write } from './database.js';
import { fromJsonText, toJsonText } from './json-columns.js';
import { noticeStore } from './notices.js';
import { ordinalOf } from './numbered-ids.js';
import { queueDeliveries } from './webhooks.js';

interface MuteRow {
  readonly ordinal: number;
  readonly device_id: DeviceId | null;
  readonly structure_hash: string | null;
  readonly metric: CostMetric | null;
  readonly until_ms: number | null;
  readonly note: string;
  readonly by: string;
  readonly created_ms: number;
}

const watched = 'alerts.watchedUpTo';
const defaultLimit = 100;
/** Networks in one question, each with four values. */
const askedAtOnce = 200;

export function alertStore(database: Database): AlertStore {
  return {
    ...noticeStore(database),

    measuredAfter: async (ordinal, limit) => {
      const rows = await database.read<
        { ordinal: number; device_id: DeviceId; structure_hash: string; verdict: string }[]
      >((db) =>
        db('measurements')
          .select('ordinal', 'device_id', 'structure_hash', 'verdict')
          .where('ordinal', '>', ordinal)
          .orderBy('ordinal')
          .limit(limit),
      );
      return rows.map(({ ordinal, device_id, structure_hash, verdict }) => ({
        ordinal,
        deviceId: device_id,
        structureHash: structure_hash,
        valid: verdict === 'valid',
      }));
    },

    wereMeasured: async (networks) => {
      const found: boolean[] = [];
      for (let from = 0; from < networks.length; from += askedAtOnce) {
        const some = networks.slice(from, from + askedAtOnce);
        const rows = await database.read<{ readonly earlier: number }[]>((db) =>
          db.raw(
            `WITH v(number, device_id, structure_hash, before) AS (VALUES ${some.map(() => '(?, ?, ?, ?)').join(', ')})
            SELECT EXISTS (
              SELECT 1 FROM measurements AS m WHERE m.structure_hash = v.structure_hash AND m.ordinal < v.before
              AND m.device_id = v.device_id AND m.verdict = 'valid'
            ) AS earlier FROM v ORDER BY v.number`,
            some.flatMap(({ deviceId, structureHash, before }, i) => [
              i,
              deviceId,
              structureHash,
              measured(before),
            ]),
          ),
        );
        found.push(...rows.map(({ earlier }) => Boolean(earlier)));
      }
      return found;
    },

    watchedUpTo: async () => {
      const row = await database.read<{ readonly value: string } | undefined>((db) =>
        db('key_values').where({ key: watched }).first(),
      );
      return row ? fromJsonText<number>(row.value, `the value ${watched}`) : 0;
    },

    raiseAlerts: ({ alerts, returned, watchedUpTo }) =>
      database.write(async (write) => {
        const { db } = write;
        const raised: ChangeAlert[] = [];
        for (const alert of alerts) {
          const record = await raise(alert, write);
          if (record) raised.push(record);
        }
        for (const one of returned) await noteReturn(one, write);
        await db('key_values')
          .insert({ key: watched, value: toJsonText(watchedUpTo) })
          .onConflict('key')
          .merge();
        return raised;
      }),

    alerts: async ({ before, limit = defaultLimit, ...filter }) => {
      const rows = await database.read<AlertRow[]>((db) => {
        const query = matching(db, filter).orderBy('ordinal', 'desc').limit(limit);
        return before === undefined ? query : query.andWhere('ordinal', '<', ordinalOf(before, 'alert'));
      });
      return rows.map(toAlert);
    },

    alertCount: async (filter) => {
      const [counted] = await database.read<{ readonly count: number | string }[]>((db) =>
        matching(db, filter).count({ count: '*' }),
      );
      return Number(counted?.count ?? 0);
    },

    alert: async (id) => toAlert(await database.read((db) => requireAlert(db, id))),

    acknowledgeAlert: (id, { by, note }) =>
      database.write(async (write) => {
        const { db, nowMs, publish } = write;
        const row = await requireAlert(db, id);
        if (row.acknowledged !== null) return toAlert(row);
        const acknowledged = toJsonText({ by, atMs: nowMs, note });
        await db('alerts').where({ ordinal: row.ordinal }).update({ acknowledged });
        await publish('alerts', { type: 'alert-acknowledged', id, by, note });
        return toAlert({ ...row, acknowledged });
      }),

    addMute: ({ deviceId, structureHash, metric, untilMs, note, by }) =>
      database.write(async ({ db, nowMs, next, publish }) => {
        const row: MuteRow = {
          ordinal: await next('alert_mutes'),
          device_id: deviceId,
          structure_hash: structureHash,
          metric,
          until_ms: untilMs,
          note,
          by,
          created_ms: nowMs,
        };
        await db('alert_mutes').insert(row);
        const mute = toMute(row);
        await publish('alerts', {
          type: 'alerts-muted',
          id: mute.id,
          deviceId,
          structureHash,
          metric,
          untilMs,
        });
        return mute;
      }),

    mute: async (id) => toMute(await database.read((db) => requireMute(db, id))),

    liftMute: (id) =>
      database.write(async ({ db, publish }) => {
        const row = await requireMute(db, id);
        await db('alert_mutes').where({ ordinal: row.ordinal }).delete();
        await publish('alerts', { type: 'alerts-unmuted', id });
        return toMute(row);
      }),

    mutes: async () => {
      const nowMs = database.clock.nowMs();
      const rows = await database.read<MuteRow[]>((db) => live(db, nowMs).orderBy('ordinal', 'desc'));
      return rows.map(toMute);
    },
  };
}

/** Measurements are numbered in the order in which they are stored. */
const measured = (id: MeasurementId): number => Number(id.slice(1));

async function requireAlert(db: Knex, id: AlertId): Promise<AlertRow> {
  const row: AlertRow | undefined = await db('alerts')
    .where({ ordinal: ordinalOf(id, 'alert') })
    .first();
  if (row) return row;
  throw new HildaError('NOT_FOUND', `there is no alert ${id}`, { hint: 'GET /v1/alerts lists them.' });
}

async function requireMute(db: Knex, id: MuteId): Promise<MuteRow> {
  const row: MuteRow | undefined = await db('alert_mutes')
    .where({ ordinal: ordinalOf(id, 'mute') })
    .first();
  if (row) return row;
  throw new HildaError('NOT_FOUND', `there is no mute ${id}`, { hint: 'GET /v1/alerts/mutes lists them.' });
}

/** Alerts of the same series and direction whose time of the change may be the same. */
const covering = (
  db: Knex,
  {
    series,
    metric,
    ratio,
    between: [first, last],
  }: Pick<NewAlert, 'series' | 'metric' | 'ratio' | 'between'>,
): Knex.QueryBuilder =>
  db('alerts')
    .where({ series, metric })
    .andWhere('ratio', ratio > 1 ? '>' : '<', 1)
    .andWhere('between_first', '<=', measured(last))
    .andWhere('between_last', '>=', measured(first));

async function raise(alert: NewAlert, write: Write): Promise<ChangeAlert | undefined> {
  const { db, nowMs, next, publish } = write;
  const { deviceId, structureHash, metric, ratio } = alert;
  const known = await covering(db, alert).first('ordinal');
  if (known) return undefined;
  const covered = { device_id: deviceId, structure_hash: structureHash, metric };
  const mute = live(db, nowMs);
  for (const [column, value] of Object.entries(covered))
    mute.andWhere((either) => either.whereNull(column).orWhere(column, value));
  const row: AlertRow = {
    ordinal: await next('alerts'),
    kind: 'change',
    series: alert.series,
    device_id: deviceId,
    structure_hash: structureHash,
    metric,
    since: measured(alert.since),
    between_first: measured(alert.between[0]),
    between_last: measured(alert.between[1]),
    found_at: measured(alert.foundAt),
    returned_at: null,
    since_ms: alert.sinceMs,
    ratio,
    ratio_low: alert.ratioCi[0],
    ratio_high: alert.ratioCi[1],
    cause: alert.cause,
    differences: toJsonText(alert.differences),
    raised_ms: nowMs,
    muted: (await mute.first('ordinal')) !== undefined,
    acknowledged: null,
    subject: null,
    text: null,
    detail: null,
    resolved_ms: null,
  };
  await db('alerts').insert(row);
  const record = toAlert(row) as ChangeAlert;
  await publish('alerts', {
    type: 'alert',
    id: record.id,
    kind: 'change',
    deviceId,
    structureHash,
    metric,
    since: alert.since,
    ratio,
    muted: record.muted,
  });
  if (!record.muted) await queueDeliveries({ kind: 'alert', body: messageOf(record) }, write);
  return record;
}

async function noteReturn(one: Returned, write: Write): Promise<void> {
  const { db, publish } = write;
  const row: AlertRow | undefined = await covering(db, one).whereNull('returned_at').first();
  if (!row) return;
  const returned = { ...row, returned_at: measured(one.returnedAt) };
  await db('alerts').where({ ordinal: row.ordinal }).update({ returned_at: returned.returned_at });
  const record = toAlert(returned) as ChangeAlert;
  await publish('alerts', { type: 'alert-returned', id: record.id, returnedAt: one.returnedAt });
  if (!record.muted) await queueDeliveries({ kind: 'alert-returned', body: messageOf(record) }, write);
}

/** What webhooks hear of an alert. */
const messageOf = ({ series: _, muted: __, acknowledged: ___, ...alert }: ChangeAlert): Json =>
  alert as unknown as Json;

function matching(db: Knex, { state, deviceId }: AlertFilter): Knex.QueryBuilder {
  const query = db('alerts');
  if (deviceId !== undefined) query.where({ device_id: deviceId });
  if (state === 'acknowledged') query.whereNotNull('acknowledged');
  if (state === 'muted') query.where({ muted: true });
  if (state === 'open') query.where({ muted: false }).whereNull('acknowledged');
  return query;
}

const toMute = (row: MuteRow): AlertMute => ({
  id: `mute-${row.ordinal}` as MuteId,
  deviceId: row.device_id,
  structureHash: row.structure_hash,
  metric: row.metric,
  untilMs: row.until_ms,
  note: row.note,
  by: row.by,
  createdMs: row.created_ms,
});
