import type { Knex } from 'knex';
import { type TrialColumns, type TrialRecord, trialStates } from './contract.js';
import { fromJsonText } from './json-columns.js';
import { packColumns } from './pack-columns.js';

/**
 * Told trials are sealed, this many at a time and in the order of their numbers, into chunks of columns. A chunk changes
 * only where one of its trials is revised, and with it: readers keep chunks and read the few open trials behind them.
 */
export const chunkTrials = 256;

interface ColumnRow {
  readonly number: number;
  readonly state: TrialRecord['state'];
  readonly told: number | boolean;
  readonly metric_values: string;
}

/** Seals what can be sealed: whole chunks of told trials, none left out before them. */
export async function sealChunks(db: Knex, id: string): Promise<void> {
  for (;;) {
    const [last]: { count: number | string; revision: number | null }[] = await db('trial_chunks')
      .where({ study_id: id })
      .count({ count: '*' })
      .max({ revision: 'revision' });
    const chunk = Number(last?.count ?? 0);
    if (!(await isTold(db, id, chunk))) return;
    await db('trial_chunks').insert({
      study_id: id,
      chunk,
      revision: (last?.revision ?? 0) + 1,
      body: await packedChunk(db, id, chunk),
    });
  }
}

/** Writes the chunk of a revised trial anew, where it is sealed. */
export async function resealChunk(db: Knex, id: string, number: number): Promise<void> {
  const chunk = Math.floor(number / chunkTrials);
  const known = await db('trial_chunks').select('chunk').where({ study_id: id, chunk }).first();
  if (!known) return;
  const [last]: { revision: number }[] = await db('trial_chunks')
    .where({ study_id: id })
    .max({ revision: 'revision' });
  await db('trial_chunks')
    .where({ study_id: id, chunk })
    .update({ revision: (last?.revision ?? 0) + 1, body: await packedChunk(db, id, chunk) });
}

const inChunk = (db: Knex, id: string, chunk: number): Knex.QueryBuilder =>
  db('trials')
    .where({ study_id: id })
    .andWhere('number', '>=', chunk * chunkTrials)
    .andWhere('number', '<', (chunk + 1) * chunkTrials);

async function isTold(db: Knex, id: string, chunk: number): Promise<boolean> {
  const counted: { readonly count: number | string }[] = await inChunk(db, id, chunk)
    .andWhere({ told: true })
    .count({ count: '*' });
  return Number(counted[0]?.count ?? 0) === chunkTrials;
}

async function packedChunk(db: Knex, id: string, chunk: number): Promise<Buffer> {
  const rows: ColumnRow[] = await inChunk(db, id, chunk)
    .select(...rowColumns)
    .orderBy('number');
  return Buffer.from(packColumns(columnsOf(rows, id)));
}

const rowColumns = ['number', 'state', 'told', 'metric_values'] as const;

/** What columns are made from, of the trials from this number on. */
export const readRows = (db: Knex, id: string, from: number): PromiseLike<ColumnRow[]> =>
  db('trials')
    .select(...rowColumns)
    .where({ study_id: id })
    .andWhere('number', '>=', from)
    .orderBy('number') as unknown as PromiseLike<ColumnRow[]>;

export function columnsOf(rows: readonly ColumnRow[], id: string): TrialColumns {
  const { length } = rows;
  const states = new Uint8Array(length);
  const told = new Uint8Array(length);
  const values = new Map<string, Float64Array>();
  for (const [i, row] of rows.entries()) {
    states[i] = trialStates.indexOf(row.state);
    told[i] = row.told ? 1 : 0;
    const known = fromJsonText<Record<string, number>>(row.metric_values, `trial ${row.number} of ${id}`);
    for (const [metric, value] of Object.entries(known)) {
      const column = values.get(metric) ?? new Float64Array(length).fill(Number.NaN);
      if (!values.has(metric)) values.set(metric, column);
      column[i] = value;
    }
  }
  return { from: rows[0]?.number ?? 0, length, states, told, values };
}
