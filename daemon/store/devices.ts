import type { Knex } from 'knex';
import { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { DeviceRecord, Store } from './contract.js';
import type { Database } from './database.js';
import { fromJsonText, toJsonText } from './json-columns.js';

export interface DeviceRow {
  readonly id: DeviceId;
  readonly kind: string;
  readonly label: string;
  readonly target: string;
  readonly host: string | null;
  readonly state: DeviceRecord['state'];
  readonly state_reason: string | null;
  readonly tags: string;
  readonly first_seen_ms: number;
  readonly last_seen_ms: number;
  readonly last_token: number;
}

export function deviceStore(
  database: Database,
): Pick<Store, 'upsertDevice' | 'setDeviceState' | 'setDeviceTags' | 'devices' | 'device'> {
  return {
    upsertDevice: ({ id, kind, label, target, host = null }) =>
      database.write(async ({ db, nowMs, publish }) => {
        const known = await db<DeviceRow>('devices').where({ id }).first();
        const seen = { kind, label, host, target: toJsonText(target), last_seen_ms: nowMs };
        if (known) await db('devices').where({ id }).update(seen);
        else
          await db('devices').insert({ id, ...seen, state: 'sighted', first_seen_ms: nowMs, last_token: 0 });
        const device = toDevice(await requireDevice(db, id));
        // Seeing the same device again is no news.
        const changed =
          !known ||
          known.kind !== kind ||
          known.label !== label ||
          known.host !== host ||
          known.target !== seen.target;
        if (changed) await publish('devices', { type: 'device', device: device as unknown as Json });
        return device;
      }),

    setDeviceState: (id, state, reason = null) => change(database, id, { state, state_reason: reason }),

    setDeviceTags: (id, tags) => change(database, id, { tags: toJsonText([...new Set(tags)].sort()) }),

    devices: async () => {
      const rows = await database.read<DeviceRow[]>((db) => db('devices').orderBy(['first_seen_ms', 'id']));
      return rows.map(toDevice);
    },

    device: async (id) => toDevice(await database.read((db) => requireDevice(db, id))),
  };
}

const change = (database: Database, id: DeviceId, columns: Partial<DeviceRow>): Promise<DeviceRecord> =>
  database.write(async ({ db, publish }) => {
    await requireDevice(db, id);
    await db('devices').where({ id }).update(columns);
    const device = toDevice(await requireDevice(db, id));
    await publish('devices', { type: 'device', device: device as unknown as Json });
    return device;
  });

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
  target: fromJsonText(row.target, `the target of ${row.id}`),
  state: row.state,
  reason: row.state_reason,
  tags: fromJsonText(row.tags, `the tags of ${row.id}`),
  firstSeenMs: row.first_seen_ms,
  lastSeenMs: row.last_seen_ms,
});
