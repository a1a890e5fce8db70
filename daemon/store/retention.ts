import type { Knex } from 'knex';
import type { DeviceId } from '../core/ids.js';
import type { Database } from './database.js';
import type { RetentionStore } from './retention-contract.js';

/** Texts that may name a device: a table, and its columns. */
const mentions: readonly (readonly [table: string, columns: readonly string[]])[] = [
  ['studies', ['spec', 'part_device_id']],
  ['specialisations', ['body']],
  ['jobs', ['devices', 'work', 'owner', 'device_id', 'result']],
  ['campaigns', ['request', 'progress', 'result']],
  ['benchmark_cases', ['place', 'device_id']],
  ['schedules', ['body']],
  ['rollouts', ['request']],
  ['key_values', ['key', 'value']],
];

/** Tables whose rows belong to a device. */
const owners = [
  'measurements',
  'leases',
  'predictors',
  'alert_mutes',
  'rollout_devices',
  'device_running',
  'device_changes',
];

/** A name that is part of a longer one counts as named: a device too many stays, none too few. */
const isUnused = [
  `devices.last_seen_ms < ?`,
  `devices.state IN ('sighted', 'adopted')`,
  `devices.tags = '[]'`,
  // Its tokens are never given twice, and go with its row.
  'devices.last_token = 0',
  ...owners.map((table) => `NOT EXISTS (SELECT 1 FROM ${table} WHERE ${table}.device_id = devices.id)`),
  ...mentions.map(([table, columns]) => {
    const named = columns.map((column) => `instr(coalesce(${table}.${column}, ''), devices.id) > 0`);
    return `NOT EXISTS (SELECT 1 FROM ${table} WHERE ${named.join(' OR ')})`;
  }),
].join(' AND ');

export function retentionStore(database: Database): RetentionStore {
  return {
    oldEvents: ({ beforeMs, most }) =>
      database.read(async (db) => {
        const first = await edge(db, 'asc');
        const last = await edge(db, 'desc');
        if (first === undefined || last === undefined) return { count: 0, upToSeq: 0, kept: 0 };
        const young = await db('events')
          .where('at_ms', '>=', beforeMs)
          .orderBy('seq')
          .first<{ seq: number } | undefined>('seq');
        // Clocks step back: an old event behind a young one stays.
        const upToSeq = Math.max((young?.seq ?? last + 1) - 1, last - most);
        const count = Math.max(0, upToSeq - first + 1);
        return { count, upToSeq: count === 0 ? 0 : upToSeq, kept: last - first + 1 - count };
      }),

    forgetEvents: (upToSeq, most) =>
      database.write(async ({ db }) => {
        const first = await edge(db, 'asc');
        if (first === undefined || first > upToSeq) return 0;
        const last = Math.min(upToSeq, first + most - 1);
        await db('events').where('seq', '<=', last).delete();
        return last - first + 1;
      }),

    firstSeq: () =>
      database.read(async (db) => {
        const first = await edge(db, 'asc');
        if (first !== undefined) return first;
        const counter = await db('counters').where({ name: 'events' }).first<{ value: number }>('value');
        return (counter?.value ?? 0) + 1;
      }),

    unusedDevices: ({ beforeMs, after, most }) =>
      database.read(async (db) => {
        const rows = await db('devices')
          .whereRaw(isUnused, [beforeMs])
          .andWhere('id', '>', after ?? '')
          .orderBy('id')
          .limit(most)
          .pluck<DeviceId[]>('id');
        return rows;
      }),

    forgetDevices: (ids, beforeMs) =>
      database.write(async ({ db, publishAll }) => {
        const unused = await db('devices')
          .whereRaw(isUnused, [beforeMs])
          .whereIn('id', [...ids])
          .orderBy('id')
          .pluck<DeviceId[]>('id');
        await db('devices').whereIn('id', unused).delete();
        await publishAll(
          unused.map((id) => ({ topic: 'devices', data: { type: 'device-forgotten', deviceId: id } })),
        );
        return unused;
      }),
  };
}

const edge = async (db: Knex, order: 'asc' | 'desc'): Promise<number | undefined> =>
  (await db('events').orderBy('seq', order).first<{ seq: number } | undefined>('seq'))?.seq;
