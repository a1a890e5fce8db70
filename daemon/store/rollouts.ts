import type { Knex } from 'knex';
import { type ErrorDocument, HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import { type Database, insertAll, type Write } from './database.js';
import { noteChange, runningStore, setRunningIn } from './device-running.js';
import { fromJsonText, toJsonText } from './json-columns.js';
import { ordinalOf } from './numbered-ids.js';
import type {
  RolloutDevice,
  RolloutRecord,
  RolloutState,
  RolloutStep,
  RolloutStore,
} from './rollout-contract.js';

interface RolloutRow {
  readonly ordinal: number;
  readonly name: string;
  readonly version: number;
  readonly state: RolloutState;
  readonly request: string;
  readonly wave: number;
  readonly wait_until_ms: number | null;
  readonly forgiven: number;
  readonly keep: number | boolean;
  readonly reason: string | null;
  readonly created_ms: number;
  readonly ended_ms: number | null;
}

interface DeviceRow {
  readonly rollout: number;
  readonly device_id: DeviceId;
  readonly place: number;
  readonly wave: number;
  readonly step: RolloutStep;
  readonly attempt: number;
  readonly since_ms: number;
  readonly reason: string | null;
  readonly body: string;
}

const defaultLimit = 100;
const ended: readonly RolloutState[] = ['aborted', 'refused', 'done'];
/** A statement holds at least so many values. */
const mostValues = 500;

export function rolloutStore(database: Database): RolloutStore {
  return {
    ...runningStore(database),

    addRollout: ({ name, request, devices }) =>
      database.write(async (write) => {
        const { db, all, nowMs, next } = write;
        await assertFree(
          db,
          devices.map(({ deviceId }) => deviceId),
        );
        const [last] = await db<RolloutRow>('rollouts').where({ name }).orderBy('version', 'desc').limit(1);
        const ordinal = await next('rollouts');
        await db('rollouts').insert({
          ordinal,
          name,
          version: (last?.version ?? 0) + 1,
          state: 'checking',
          request: toJsonText(request),
          wave: 0,
          forgiven: 0,
          keep: false,
          created_ms: nowMs,
        });
        const rows = devices.map(({ deviceId, wave, body }, place) => ({
          rollout: ordinal,
          device_id: deviceId,
          place,
          wave,
          step: 'planned',
          attempt: 0,
          since_ms: nowMs,
          body: toJsonText(body),
        }));
        await insertAll(all, 'rollout_devices', rows);
        return tell(ordinal, write);
      }),

    rollout: (id) => database.read((db) => read(db, ordinalOf(id, 'rollout'))),

    rollouts: ({ states, before, limit = defaultLimit } = {}) =>
      database.read(async (db) => {
        const query = matching(db, states).orderBy('ordinal', 'desc').limit(limit);
        if (before !== undefined) {
          const { ordinal } = await require(db, ordinalOf(before, 'rollout'));
          query.where('ordinal', '<', ordinal);
        }
        const rows: RolloutRow[] = await query;
        return Promise.all(rows.map(async (row) => toRollout(row, await countsOf(db, row.ordinal))));
      }),

    rolloutCount: async (states) => {
      const counted = await database.read<{ readonly count: number | string }[]>((db) =>
        matching(db, states).count({ count: '*' }),
      );
      return Number(counted[0]?.count ?? 0);
    },

    setRollout: (id, from, { state, wave, waitUntilMs, forgiven, keep, reason }) =>
      database.write(async (write) => {
        const { db, nowMs } = write;
        const { ordinal, state: before } = await require(db, ordinalOf(id, 'rollout'));
        if (!from.includes(before))
          throw new HildaError('STATE_CONFLICT', `the rollout ${id} is ${before}`, {
            hint: 'See `hilda rollout status`.',
            details: { rollout: id, state: before },
          });
        await db('rollouts')
          .where({ ordinal })
          .update({
            state: state ?? before,
            ended_ms: ended.includes(state ?? before) ? nowMs : null,
            ...(wave !== undefined && { wave }),
            ...(waitUntilMs !== undefined && { wait_until_ms: waitUntilMs }),
            ...(forgiven !== undefined && { forgiven }),
            ...(keep !== undefined && { keep }),
            ...(reason !== undefined && { reason: reason === null ? null : toJsonText(reason) }),
          });
        return tell(ordinal, write);
      }),

    rolloutDevices: (id) =>
      database.read(async (db) => {
        const { ordinal } = await require(db, ordinalOf(id, 'rollout'));
        const rows: DeviceRow[] = await db('rollout_devices').where({ rollout: ordinal }).orderBy('place');
        return rows.map(toDevice);
      }),

    stepDevice: (id, deviceId, { step, attempt, reason, body, running }) =>
      database.write(async (write) => {
        const { db, nowMs, publish } = write;
        const rollout = await require(db, ordinalOf(id, 'rollout'));
        const key = { rollout: rollout.ordinal, device_id: deviceId };
        const before: DeviceRow | undefined = await db('rollout_devices').where(key).first();
        if (!before) throw new HildaError('NOT_FOUND', `${deviceId} is no device of ${id}`);
        const isNew = step !== before.step;
        await db('rollout_devices')
          .where(key)
          .update({
            step,
            attempt: attempt ?? (isNew ? 0 : before.attempt),
            ...(isNew && { since_ms: nowMs }),
            ...(reason !== undefined && { reason: reason === null ? null : toJsonText(reason) }),
            ...(body !== undefined && { body: toJsonText(body) }),
          });
        if (running !== undefined) await setRunningIn(write, deviceId, running);
        const row: DeviceRow = await db('rollout_devices').where(key).first();
        const device = toDevice(row);
        if (isNew) {
          const { name, version, ordinal } = rollout;
          await noteChange(write, { deviceId, rollout: ordinal, step, name, version, reason: device.reason });
          await publish('rollouts', {
            type: 'device',
            rollout: id,
            deviceId,
            step,
            reason: device.reason?.message ?? null,
          });
        }
        return device;
      }),

    rolloutOf: (deviceId) =>
      database.read((db) => activeOf(db, [deviceId]).then(([row]) => row && idOf(row.ordinal))),
  };
}

const idOf = (ordinal: number): string => `rollout-${ordinal}`;

const matching = (db: Knex, states: readonly RolloutState[] | undefined) =>
  states ? db<RolloutRow>('rollouts').whereIn('state', [...states]) : db<RolloutRow>('rollouts');

/** Rollouts that have not ended, by the devices of these that they have. */
async function activeOf(
  db: Knex,
  devices: readonly DeviceId[],
): Promise<{ readonly ordinal: number; readonly device_id: DeviceId }[]> {
  const found: { readonly ordinal: number; readonly device_id: DeviceId }[] = [];
  for (let from = 0; from < devices.length; from += mostValues)
    found.push(
      ...(await db('rollout_devices')
        .join('rollouts', 'rollouts.ordinal', 'rollout_devices.rollout')
        .whereNotIn('rollouts.state', [...ended])
        .whereIn('rollout_devices.device_id', devices.slice(from, from + mostValues))
        .select('rollouts.ordinal', 'rollout_devices.device_id')),
    );
  return found;
}

async function assertFree(db: Knex, devices: readonly DeviceId[]): Promise<void> {
  const [taken] = await activeOf(db, devices);
  if (!taken) return;
  const id = idOf(taken.ordinal);
  throw new HildaError('STATE_CONFLICT', `${taken.device_id} is part of ${id}, which has not ended`, {
    hint: `Wait for it, or end it: \`hilda rollout abort ${id}\`.`,
    details: { deviceId: taken.device_id, rollout: id },
  });
}

async function require(db: Knex, ordinal: number): Promise<RolloutRow> {
  const row: RolloutRow | undefined = await db('rollouts').where({ ordinal }).first();
  if (row) return row;
  throw new HildaError('NOT_FOUND', 'there is no such rollout', { hint: 'See `hilda rollout list`.' });
}

async function countsOf(db: Knex, rollout: number): Promise<RolloutRecord['counts']> {
  const rows: { step: RolloutStep; count: number | string }[] = await db('rollout_devices')
    .where({ rollout })
    .groupBy('step')
    .select('step')
    .count({ count: '*' });
  return Object.fromEntries(rows.map(({ step, count }) => [step, Number(count)]));
}

const read = async (db: Knex, ordinal: number): Promise<RolloutRecord> =>
  toRollout(await require(db, ordinal), await countsOf(db, ordinal));

async function tell(ordinal: number, { db, publish }: Write): Promise<RolloutRecord> {
  const record = await read(db, ordinal);
  const { id, name, version, state, wave, counts } = record;
  await publish('rollouts', { type: 'rollout', id, name, version, state, wave, counts: { ...counts } });
  return record;
}

const toRollout = (row: RolloutRow, counts: RolloutRecord['counts']): RolloutRecord => ({
  id: idOf(row.ordinal),
  name: row.name,
  version: row.version,
  state: row.state,
  request: fromJsonText(row.request, idOf(row.ordinal)),
  wave: row.wave,
  waitUntilMs: row.wait_until_ms,
  forgiven: row.forgiven,
  keep: Boolean(row.keep),
  reason: row.reason === null ? null : fromJsonText<ErrorDocument>(row.reason, idOf(row.ordinal)),
  counts,
  createdMs: row.created_ms,
  endedMs: row.ended_ms,
});

const toDevice = (row: DeviceRow): RolloutDevice => ({
  deviceId: row.device_id,
  wave: row.wave,
  step: row.step,
  attempt: row.attempt,
  sinceMs: row.since_ms,
  reason:
    row.reason === null ? null : fromJsonText<ErrorDocument>(row.reason, `${row.device_id} of a rollout`),
  body: fromJsonText(row.body, `${row.device_id} of a rollout`),
});
