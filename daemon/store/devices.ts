import type { Knex } from 'knex';
import { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Target } from '../core/target.js';
import type { DeviceRecord, Store } from './contract.js';
import type { Database, Write } from './database.js';
import { fromJsonText, toJsonText } from './json-columns.js';
import { raiseNotice, resolveNotices } from './notices.js';
import type { Quarantine } from './records.js';

export interface DeviceRow {
  readonly id: DeviceId;
  readonly kind: string;
  readonly label: string;
  readonly target: string;
  readonly host: string | null;
  readonly state: DeviceRecord['state'];
  readonly state_reason: string | null;
  readonly quarantine: string | null;
  readonly tags: string;
  readonly first_seen_ms: number;
  readonly last_seen_ms: number;
  readonly last_token: number;
}

export function deviceStore(
  database: Database,
): Pick<
  Store,
  | 'upsertDevice'
  | 'upsertDevices'
  | 'setDeviceState'
  | 'noteHealthCheck'
  | 'setDeviceTags'
  | 'devices'
  | 'device'
> {
  return {
    upsertDevice: async (device) => (await upsert(database, [device]))[0] as DeviceRecord,

    upsertDevices: async (seen) => {
      const records: DeviceRecord[] = [];
      for (let from = 0; from < seen.length; from += atOnce)
        records.push(...(await upsert(database, seen.slice(from, from + atOnce))));
      return records;
    },

    setDeviceState: (id, state, reason = null, by = 'hand') =>
      database.write(async (write) => {
        const before = await requireDevice(write.db, id);
        const quarantine: Quarantine | null =
          state === 'quarantined' ? { by, sinceMs: write.nowMs, passed: 0 } : null;
        const device = await change(write, id, {
          state,
          state_reason: reason,
          quarantine: quarantine && toJsonText(quarantine),
        });
        if (state === 'quarantined' && before.state !== 'quarantined')
          await raiseNotice(noticeOf(device, by), write);
        if (state !== 'quarantined' && before.state === 'quarantined')
          await resolveNotices('quarantine', id, write);
        return device;
      }),

    noteHealthCheck: (id, passed) =>
      database.write(async (write) => {
        const device = toDevice(await requireDevice(write.db, id));
        if (!device.quarantine) return device;
        const quarantine = { ...device.quarantine, passed: passed ? device.quarantine.passed + 1 : 0 };
        return change(write, id, { quarantine: toJsonText(quarantine) });
      }),

    setDeviceTags: (id, tags) =>
      database.write((write) => change(write, id, { tags: toJsonText([...new Set(tags)].sort()) })),

    devices: async () => {
      const rows = await database.read<DeviceRow[]>((db) => db('devices').orderBy(['first_seen_ms', 'id']));
      return rows.map(toDevice);
    },

    device: async (id) => toDevice(await database.read((db) => requireDevice(db, id))),
  };
}

/** Throws DEVICE_UNKNOWN. */
async function change(
  { db, publish }: Write,
  id: DeviceId,
  columns: Partial<DeviceRow>,
): Promise<DeviceRecord> {
  await requireDevice(db, id);
  await db('devices').where({ id }).update(columns);
  const device = toDevice(await requireDevice(db, id));
  await publish('devices', { type: 'device', device: device as unknown as Json });
  return device;
}

const noticeOf = ({ id, reason }: DeviceRecord, by: Quarantine['by']) =>
  ({
    kind: 'quarantine',
    subject: id,
    deviceId: id,
    text: `The device ${id} is in quarantine${reason === null ? '' : `: ${reason}`}.`,
    detail: { by, reason },
  }) as const;

/** So many devices share a transaction: each one of its own would take the disk's time. */
const atOnce = 200;

type Seen = Parameters<Store['upsertDevices']>[0][number];

const upsert = (database: Database, devices: readonly Seen[]): Promise<DeviceRecord[]> =>
  database.write(async ({ db, nowMs, publishAll }) => {
    const ids = devices.map(({ id }) => id);
    const rowsNow = async (): Promise<Map<DeviceId, DeviceRow>> => {
      const rows: DeviceRow[] = await db('devices').whereIn('id', ids);
      return new Map(rows.map((row) => [row.id, row]));
    };
    const before = await rowsNow();
    const written = devices.map(({ id, kind, label, target, host = null }) => ({
      id,
      kind,
      label,
      host,
      target: toJsonText(target),
      state: 'sighted',
      first_seen_ms: nowMs,
      last_seen_ms: nowMs,
      last_token: 0,
    }));
    await db('devices')
      .insert(written)
      .onConflict('id')
      .merge(['kind', 'label', 'host', 'target', 'last_seen_ms']);
    const after = await rowsNow();
    const records = ids.map((id) => toDevice(after.get(id) as DeviceRow));
    // Seeing the same device again is no news.
    const news = records.filter((_, i) => {
      const known = before.get((devices[i] as Seen).id);
      const now = written[i] as (typeof written)[number];
      return !known || seenFields.some((field) => known[field] !== now[field]);
    });
    await publishAll(
      news.map((device) => ({
        topic: 'devices',
        data: { type: 'device', device: device as unknown as Json },
      })),
    );
    return records;
  });

const seenFields = ['kind', 'label', 'host', 'target'] as const;

/** Throws DEVICE_UNKNOWN. */
export async function requireDevice(db: Knex, id: DeviceId): Promise<DeviceRow> {
  const row: DeviceRow | undefined = await db('devices').where({ id }).first();
  if (!row) throw new HildaError('DEVICE_UNKNOWN', `there is no device ${id}`, { details: { deviceId: id } });
  return row;
}

export const toDevice = (row: DeviceRow): DeviceRecord => ({
  id: row.id,
  kind: row.kind,
  label: row.label,
  host: row.host,
  target: targetOf(row),
  state: row.state,
  reason: row.state_reason,
  quarantine: row.quarantine === null ? null : fromJsonText(row.quarantine, `the quarantine of ${row.id}`),
  tags: fromJsonText(row.tags, `the tags of ${row.id}`),
  firstSeenMs: row.first_seen_ms,
  lastSeenMs: row.last_seen_ms,
});

/** Thousands of devices have few targets: each text is parsed once. */
const targets = new Map<string, Target>();
const mostTargets = 1000;

function targetOf({ id, target: text }: DeviceRow): Target {
  const known = targets.get(text);
  if (known) return known;
  const target = Object.freeze(fromJsonText<Target>(text, `the target of ${id}`));
  if (targets.size >= mostTargets) targets.clear();
  targets.set(text, target);
  return target;
}
