import type { Knex } from 'knex';
import { HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { Database, Write } from './database.js';
import { fromJsonText, toJsonText } from './json-columns.js';
import type { FiringOutcome, FiringRecord, ScheduleRecord, ScheduleStore } from './schedule-contract.js';

interface ScheduleRow {
  readonly ordinal: number;
  readonly name: string;
  readonly kind: string;
  readonly body: string;
  readonly state: 'active' | 'paused';
  readonly next_ms: number | null;
  readonly created_ms: number;
}

interface FiringRow {
  readonly planned_ms: number;
  readonly at_ms: number;
  readonly outcome: FiringOutcome;
  readonly detail: string | null;
}

const defaultLimit = 100;
/** Of one schedule: older ones are forgotten. */
const mostFirings = 1000;

export function scheduleStore(database: Database): ScheduleStore {
  return {
    addSchedule: ({ name, kind, timing, request, nextMs }) =>
      database.write(async (write) => {
        const { db, nowMs, next } = write;
        if (await find(db, name))
          throw new HildaError('STATE_CONFLICT', `there is a schedule ${name}`, {
            hint: 'Remove it first, or take another name.',
            details: { schedule: name },
          });
        const ordinal = await next('schedules');
        const body = toJsonText({ timing, request });
        await db('schedules').insert({
          ordinal,
          name,
          kind,
          body,
          state: 'active',
          next_ms: nextMs,
          created_ms: nowMs,
        });
        return tell(name, write);
      }),

    schedules: () =>
      database.read(async (db) => {
        const rows: ScheduleRow[] = await db('schedules').orderBy('name');
        return Promise.all(rows.map((row) => withLast(row, db)));
      }),

    schedule: (name) => database.read(async (db) => withLast(await require(db, name), db)),

    setSchedule: (name, { state, nextMs, ...changed }) =>
      database.write(async (write) => {
        const { ordinal, body } = await require(write.db, name);
        const known = fromJsonText<object>(body, `the schedule ${name}`);
        const next = { state, next_ms: nextMs, body: toJsonText({ ...known, ...changed }) };
        await write.db('schedules').where({ ordinal }).update(next);
        return tell(name, write);
      }),

    removeSchedule: (name) =>
      database.write(async ({ db, publish }) => {
        const { ordinal } = await require(db, name);
        await db('schedule_firings').where({ schedule: ordinal }).delete();
        await db('schedules').where({ ordinal }).delete();
        await publish('schedules', { type: 'removed', name });
      }),

    addFiring: (name, { plannedMs, outcome, detail, nextMs }) =>
      database.write(async (write) => {
        const { db, nowMs } = write;
        const row = await find(db, name);
        if (row?.state !== 'active') return false;
        const { ordinal } = row;
        await db('schedules').where({ ordinal }).update({ next_ms: nextMs });
        const key = { schedule: ordinal, planned_ms: plannedMs };
        if (await db('schedule_firings').where(key).first()) return false;
        await db('schedule_firings').insert({
          ...key,
          at_ms: nowMs,
          outcome,
          detail: detail === null ? null : toJsonText(detail),
        });
        const [edge] = await firingsOf(db, ordinal).offset(mostFirings).limit(1);
        if (edge)
          await db('schedule_firings')
            .where({ schedule: ordinal })
            .where('planned_ms', '<=', edge.planned_ms)
            .delete();
        await tell(name, write);
        return true;
      }),

    noteFiring: (name, plannedMs, outcome, detail) =>
      database.write(async (write) => {
        const row = await find(write.db, name);
        if (!row) return;
        await write
          .db('schedule_firings')
          .where({ schedule: row.ordinal, planned_ms: plannedMs })
          .update({ outcome, detail: toJsonText(detail) });
        await tell(name, write);
      }),

    openFirings: (name) =>
      database.read(async (db) => {
        const { ordinal } = await require(db, name);
        const rows: FiringRow[] = await firingsOf(db, ordinal).where({ outcome: 'started' });
        return rows.map(toFiring);
      }),

    firings: (name, { beforeMs, limit = defaultLimit } = {}) =>
      database.read(async (db) => {
        const { ordinal } = await require(db, name);
        const query = firingsOf(db, ordinal).limit(limit);
        const rows: FiringRow[] = await (beforeMs === undefined
          ? query
          : query.where('planned_ms', '<', beforeMs));
        return rows.map(toFiring);
      }),
  };
}

const firingsOf = (db: Knex, ordinal: number) =>
  db<FiringRow>('schedule_firings')
    .where({ schedule: ordinal } as object)
    .orderBy('planned_ms', 'desc');

const find = (db: Knex, name: string): Promise<ScheduleRow | undefined> =>
  db('schedules').where({ name }).first();

async function require(db: Knex, name: string): Promise<ScheduleRow> {
  const row = await find(db, name);
  if (row) return row;
  throw new HildaError('NOT_FOUND', 'there is no such schedule', { hint: 'See `hilda schedule list`.' });
}

async function tell(name: string, { db, publish }: Write): Promise<ScheduleRecord> {
  const record = await withLast(await require(db, name), db);
  const { kind, state, nextMs, last } = record;
  await publish('schedules', { type: 'schedule', name, kind, state, nextMs, last: last as Json | null });
  return record;
}

async function withLast(row: ScheduleRow, db: Knex): Promise<ScheduleRecord> {
  const [last] = await firingsOf(db, row.ordinal).limit(1);
  const { timing, request } = fromJsonText<Pick<ScheduleRecord, 'timing' | 'request'>>(
    row.body,
    `the schedule ${row.name}`,
  );
  return {
    name: row.name,
    kind: row.kind,
    timing,
    request,
    state: row.state,
    nextMs: row.next_ms,
    last: last ? toFiring(last) : null,
    createdMs: row.created_ms,
  };
}

const toFiring = ({ planned_ms, at_ms, outcome, detail }: FiringRow): FiringRecord => ({
  plannedMs: planned_ms,
  atMs: at_ms,
  outcome,
  detail: detail === null ? null : fromJsonText(detail, 'a firing'),
});
