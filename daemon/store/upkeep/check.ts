import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Knex } from 'knex';
import { HildaError } from '../../core/errors.js';
import { fileSum } from '../file-sum.js';
import { mapStoreError } from '../map-errors.js';
import { readDatabase } from '../sqlite-engine.js';
import { blobOf, databaseName, dataFiles } from './data-files.js';

/** Something that is not as it must be. */
export interface Finding {
  readonly where: string;
  readonly what: string;
}

export interface CheckOutcome {
  readonly findings: readonly Finding[];
  readonly rows: number;
  readonly blobs: number;
}

/** Columns that hold JSON. */
const jsonColumns: Readonly<Record<string, readonly string[]>> = {
  devices: ['target'],
  studies: ['spec', 'sampler', 'rng'],
  trials: ['architecture', 'metric_values', 'predicted', 'measurements', 'heard'],
  measurements: ['target', 'latency', 'memory', 'manifest'],
  events: ['data'],
  key_values: ['value'],
  predictors: ['target', 'body'],
  specialisations: ['body'],
  jobs: ['work', 'network', 'inputs', 'devices', 'owner', 'result', 'error'],
  benchmark_cases: ['asked', 'error', 'heard'],
  schedules: ['body'],
  schedule_firings: ['detail'],
  rollouts: ['request', 'reason'],
  rollout_devices: ['reason', 'body'],
  device_running: ['body'],
  device_changes: ['reason'],
};

/** Counters, and the column whose greatest number each must have reached. */
const counted: readonly (readonly [counter: string, table: string, column: string])[] = [
  ['events', 'events', 'seq'],
  ['studies', 'studies', 'ordinal'],
  ['measurements', 'measurements', 'ordinal'],
  ['predictors', 'predictors', 'ordinal'],
  ['specialisations', 'specialisations', 'ordinal'],
  ['jobs', 'jobs', 'ordinal'],
  ['schedules', 'schedules', 'ordinal'],
  ['rollouts', 'rollouts', 'ordinal'],
  ['device_changes', 'device_changes', 'ordinal'],
];

/**
 * Looks at a data folder, beside a daemon that uses it or not, and changes nothing: pages and references of the database,
 * JSON in its rows, counters, what trials and waiting jobs refer to, and every blob against its sum. Throws NOT_FOUND.
 */
export async function checkData(dataDir: string): Promise<CheckOutcome> {
  const path = join(dataDir, databaseName);
  const found = await stat(path).catch(() => null);
  if (!found?.isFile())
    throw new HildaError('NOT_FOUND', `${dataDir} holds no data of hilda`, {
      hint: 'Name the folder with --data.',
    });
  const findings: Finding[] = [];
  const blobs = new Map<string, boolean>();
  for (const file of await dataFiles(dataDir)) {
    const blob = blobOf(file);
    if (blob === undefined) continue;
    const sum = await fileSum(join(dataDir, file)).catch(() => null);
    blobs.set(blob, sum?.sha256 === blob);
    if (sum?.sha256 !== blob) findings.push({ where: file, what: 'its content is not what its name says' });
  }
  const db = await readDatabase(path);
  try {
    await db.raw('BEGIN');
    const rows = await checkDatabase(db, findings, (id) => blobs.has(id));
    return { findings, rows, blobs: blobs.size };
  } catch (thrown) {
    const error = mapStoreError(thrown, `checking ${path}`);
    if (!(error instanceof HildaError) || error.code !== 'STORE_CORRUPT') throw error;
    return {
      findings: [...findings, { where: databaseName, what: error.message }],
      rows: 0,
      blobs: blobs.size,
    };
  } finally {
    await db.destroy();
  }
}

/** Answers with how many rows there are. */
async function checkDatabase(
  db: Knex,
  findings: Finding[],
  hasBlob: (id: string) => boolean,
): Promise<number> {
  const add = (where: string, what: string): void => void findings.push({ where, what });
  const pages = await db.raw<{ integrity_check: string }[]>('PRAGMA integrity_check(20)');
  for (const { integrity_check: word } of pages) if (word !== 'ok') add(databaseName, word);
  const strays = await db.raw<{ table: string; rowid: number; parent: string }[]>('PRAGMA foreign_key_check');
  for (const { table, rowid, parent } of strays.slice(0, 20))
    add(table, `row ${rowid} refers to nothing in ${parent}`);

  let rows = 0;
  const tables = new Set(await db('sqlite_master').where({ type: 'table' }).pluck<string[]>('name'));
  for (const [table, wanted] of Object.entries(jsonColumns)) {
    if (!tables.has(table)) continue;
    rows += await count(db(table));
    const columns = Object.keys(await db(table).columnInfo());
    for (const column of wanted.filter((one) => columns.includes(one))) {
      const wrong = await count(db(table).whereNotNull(column).whereRaw('NOT json_valid(??)', [column]));
      if (wrong > 0) add(`${table}.${column}`, `${wrong} rows hold no JSON`);
    }
  }
  for (const [name, table, column] of counted) {
    if (!tables.has(table)) continue;
    const [last] = await db(table).max<{ most: number | null }[]>(`${column} as most`);
    const counter = await db('counters').where({ name }).first<{ value: number } | undefined>('value');
    if ((last?.most ?? 0) > (counter?.value ?? 0))
      add('counters', `${name} stands at ${counter?.value ?? 'nothing'}, rows go to ${last?.most}`);
  }
  if (tables.has('trials')) {
    const missing = await db.raw<{ n: number }[]>(
      `SELECT count(*) AS n FROM trials, json_each(trials.measurements) AS taken
       WHERE taken.value NOT IN (SELECT id FROM measurements)`,
    );
    if ((missing[0]?.n ?? 0) > 0) add('trials', `${missing[0]?.n} measurements of trials are missing`);
  }
  if (tables.has('jobs')) {
    const wanted = await db('jobs')
      .whereIn('state', ['queued', 'running'])
      .select<{ ordinal: number; model: string | null }[]>(
        'ordinal',
        db.raw("json_extract(network, '$.model') AS model"),
      );
    for (const { ordinal, model } of wanted)
      if (model !== null && !hasBlob(model))
        add('jobs', `job j${ordinal} waits for the missing blob ${model}`);
  }
  return rows;
}

async function count(query: Knex.QueryBuilder): Promise<number> {
  const [row] = (await query.count({ n: '*' })) as { n: number }[];
  return row?.n ?? 0;
}
