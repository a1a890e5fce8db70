import type { Knex } from 'knex';
import type { ErrorDocument } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { Database, Write } from './database.js';
import { fromJsonText, toJsonText } from './json-columns.js';
import { ordinalOf } from './numbered-ids.js';
import type {
  ChangeFilter,
  DeviceChange,
  RolloutStore,
  RunningRecord,
  StepChange,
} from './rollout-contract.js';

interface RunningRow {
  readonly device_id: DeviceId;
  readonly name: string;
  readonly version: number | null;
  readonly rollout: number | null;
  readonly since_ms: number;
  readonly body: string;
}

interface ChangeRow {
  readonly ordinal: number;
  readonly device_id: DeviceId;
  readonly rollout: number | null;
  readonly at_ms: number;
  readonly step: DeviceChange['step'];
  readonly name: string;
  readonly version: number | null;
  readonly reason: string | null;
}

const defaultLimit = 100;
/** Of one device: older ones are forgotten. */
const mostChanges = 1000;

/** What runs on devices, and every change of it. */
export function runningStore(
  database: Database,
): Pick<RolloutStore, 'running' | 'runningOn' | 'deviceChanges' | 'deviceChangeCount'> {
  return {
    running: () =>
      database.read(async (db) => {
        const rows: RunningRow[] = await db('device_running').orderBy('device_id');
        return rows.map(toRunning);
      }),

    runningOn: (deviceId) =>
      database.read(async (db) => {
        const row: RunningRow | undefined = await db('device_running').where({ device_id: deviceId }).first();
        return row && toRunning(row);
      }),

    deviceChanges: ({ before, limit = defaultLimit, ...filter }) =>
      database.read(async (db) => {
        const query = matching(db, filter).orderBy('ordinal', 'desc').limit(limit);
        const rows: ChangeRow[] = await (before === undefined ? query : query.where('ordinal', '<', before));
        return rows.map(toChange);
      }),

    deviceChangeCount: async (filter) => {
      const counted = await database.read<{ readonly count: number | string }[]>((db) =>
        matching(db, filter).count({ count: '*' }),
      );
      return Number(counted[0]?.count ?? 0);
    },
  };
}

/** Writes what a device runs from now on. */
export async function setRunningIn(
  { db, nowMs }: Pick<Write, 'db' | 'nowMs'>,
  deviceId: DeviceId,
  running: NonNullable<StepChange['running']> | null,
): Promise<void> {
  if (running === null) {
    await db('device_running').where({ device_id: deviceId }).delete();
    return;
  }
  const { name, version, rollout, sinceMs = nowMs, body } = running;
  await db('device_running')
    .insert({
      device_id: deviceId,
      name,
      version,
      rollout: rollout === null ? null : ordinalOf(rollout, 'rollout'),
      since_ms: sinceMs,
      body: toJsonText(body),
    })
    .onConflict('device_id')
    .merge();
}

/** Adds a change, and forgets the oldest of a device that has too many. */
export async function noteChange(
  { db, nowMs, next }: Pick<Write, 'db' | 'nowMs' | 'next'>,
  change: Omit<DeviceChange, 'number' | 'atMs' | 'rollout'> & { readonly rollout: number | null },
): Promise<void> {
  const { deviceId, rollout, step, name, version, reason } = change;
  await db('device_changes').insert({
    ordinal: await next('device_changes'),
    device_id: deviceId,
    rollout,
    at_ms: nowMs,
    step,
    name,
    version,
    reason: reason === null ? null : toJsonText(reason),
  });
  const [edge]: ChangeRow[] = await matching(db, { deviceId })
    .orderBy('ordinal', 'desc')
    .offset(mostChanges)
    .limit(1);
  if (edge) await matching(db, { deviceId }).where('ordinal', '<=', edge.ordinal).delete();
}

const matching = (db: Knex, { deviceId, rollout }: ChangeFilter) =>
  db('device_changes').where({
    ...(deviceId !== undefined && { device_id: deviceId }),
    ...(rollout !== undefined && { rollout: ordinalOf(rollout, 'rollout') }),
  });

const idOf = (rollout: number | null): string | null => (rollout === null ? null : `rollout-${rollout}`);

const toRunning = (row: RunningRow): RunningRecord => ({
  deviceId: row.device_id,
  name: row.name,
  version: row.version,
  rollout: idOf(row.rollout),
  sinceMs: row.since_ms,
  body: fromJsonText(row.body, `what ${row.device_id} runs`),
});

const toChange = (row: ChangeRow): DeviceChange => ({
  number: row.ordinal,
  deviceId: row.device_id,
  rollout: idOf(row.rollout),
  atMs: row.at_ms,
  step: row.step,
  name: row.name,
  version: row.version,
  reason:
    row.reason === null ? null : fromJsonText<ErrorDocument>(row.reason, `a change of ${row.device_id}`),
});
