import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Knex } from 'knex';
import { asHildaError } from '../../daemon/core/errors.js';
import { readDatabase } from '../../daemon/store/sqlite-engine.js';
import { verifyBackup } from '../../daemon/store/upkeep/backup.js';
import { checkData } from '../../daemon/store/upkeep/check.js';
import type { Acknowledged } from './scenes.js';

export interface Findings {
  /** Told to a client, and not there any more or otherwise. */
  readonly lost: string[];
  /** There more than once. */
  readonly doubled: string[];
  readonly corrupt: string[];
}

export const noFindings = (): Findings => ({ lost: [], doubled: [], corrupt: [] });

/** What clients were told of one data folder, held against what the folder holds. */
export class Ledger {
  readonly #title: string;
  readonly #dataDir: string;
  readonly #isOld: boolean;
  readonly #told = new Map<string, string>();
  readonly #verified = new Set<string>();
  /** A folder is looked at after each kill: what stays wrong is one finding. */
  readonly #found = new Set<string>();

  /** `isOld`: an earlier release wrote the database; ended jobs of former days are forgotten, what they yielded is not. */
  constructor(title: string, dataDir: string, isOld = false) {
    this.#title = title;
    this.#dataDir = dataDir;
    this.#isOld = isOld;
  }

  /** What contradicts what was told before is a finding. */
  add(told: readonly Acknowledged[], findings: Findings): void {
    for (const one of told) {
      const name = nameOf(one);
      const said = one.of === 'backup' ? '' : one.said;
      const before = this.#told.get(name);
      if (before !== undefined && before !== said)
        this.#note(findings.lost, `${name} was ${before} and is ${said}`);
      this.#told.set(name, said);
    }
  }

  /** Looks at the folder beside the daemon, or without one. */
  async check({ lost, doubled, corrupt }: Findings): Promise<void> {
    // Killed before there was a database: then nobody was told anything.
    if (this.#told.size === 0 && !existsSync(join(this.#dataDir, 'hilda.sqlite'))) return;
    const { findings } = await checkData(this.#dataDir);
    for (const { where, what } of findings) this.#note(corrupt, `${where}: ${what}`);
    const db = await readDatabase(join(this.#dataDir, 'hilda.sqlite'));
    try {
      const there = await factsOf(db);
      for (const [name, said] of this.#told) {
        if (name.startsWith('backup ')) continue;
        if (there.get(name) !== said) this.#note(lost, `${name} was ${said} and is ${there.get(name)}`);
      }
      for (const finding of await doubledIn(db, this.#isOld)) this.#note(doubled, finding);
    } finally {
      await db.destroy();
    }
    for (const name of this.#told.keys()) {
      if (!name.startsWith('backup ') || this.#verified.has(name)) continue;
      this.#verified.add(name);
      await verifyBackup(name.slice('backup '.length)).catch((thrown) =>
        this.#note(lost, `${name}: ${asHildaError(thrown).message}`),
      );
    }
  }

  #note(findings: string[], what: string): void {
    const finding = `${this.#title}: ${what}`;
    if (this.#found.has(finding)) return;
    this.#found.add(finding);
    findings.push(finding);
  }
}

function nameOf(one: Acknowledged): string {
  switch (one.of) {
    case 'trial':
      return `trial ${one.study} ${one.number}`;
    case 'job':
      return `job ${one.key}`;
    case 'campaign':
      return `campaign ${one.id}`;
    case 'deployment':
      return `deployment ${one.device}`;
    case 'backup':
      return `backup ${one.folder}`;
  }
}

/** What the rows say, in the words of those who were told. */
async function factsOf(db: Knex): Promise<ReadonlyMap<string, string>> {
  const facts = new Map<string, string>();
  for (const row of await rowsOf(db, 'trials'))
    if (row.state !== 'asked')
      facts.set(
        `trial ${row.study_id} ${row.number}`,
        JSON.stringify([row.architecture_id, row.state, JSON.parse(String(row.metric_values))]),
      );
  for (const row of await rowsOf(db, 'jobs')) {
    const result = JSON.parse(String(row.result ?? 'null')) as { measurementId?: string } | null;
    if (row.idempotency_key !== null)
      facts.set(`job ${row.idempotency_key}`, JSON.stringify([row.state, result?.measurementId ?? null]));
  }
  for (const row of await rowsOf(db, 'campaigns')) {
    const result = JSON.parse(String(row.result ?? 'null')) as { predictorId?: string } | null;
    facts.set(`campaign ${row.ordinal}`, JSON.stringify([row.state, result?.predictorId ?? null]));
  }
  for (const row of await rowsOf(db, 'key_values')) {
    const [, device] = /^deployment (.*)$/.exec(String(row.key)) ?? [];
    if (device === undefined) continue;
    const { structureHash } = JSON.parse(String(row.value)) as { structureHash: string };
    facts.set(`deployment ${device}`, structureHash);
  }
  return facts;
}

/** Results that are stored more than once for one trial or job, trials told twice, campaigns with two predictors. */
async function doubledIn(db: Knex, isOld: boolean): Promise<string[]> {
  const found: string[] = [];
  const more = (title: string, names: readonly string[]): void => {
    const seen = new Set<string>();
    for (const name of names) {
      if (seen.has(name)) found.push(`${title} ${name}`);
      seen.add(name);
    }
  };
  const measurements = await rowsOf(db, 'measurements');
  more(
    'a measurement of trial',
    measurements
      .filter(({ study_id, verdict }) => study_id !== null && verdict === 'valid')
      .map(({ study_id, trial_number, device_id }) => `${study_id} ${trial_number} on ${device_id}`),
  );
  const done = (await rowsOf(db, 'jobs')).flatMap(({ result }) => {
    const { measurementId } = (JSON.parse(String(result ?? 'null')) ?? {}) as { measurementId?: string };
    return measurementId === undefined ? [] : [measurementId];
  });
  more('a job with measurement', done);
  // Databases of before jobs have measurements without any.
  const ofTrials = (await rowsOf(db, 'trials')).flatMap((row) =>
    Object.values(JSON.parse(String(row.measurements)) as Record<string, string>),
  );
  const used = new Set([...done, ...ofTrials]);
  if (done.length > 0 && !isOld)
    for (const { id, verdict } of measurements)
      if (verdict === 'valid' && !used.has(String(id))) found.push(`${id} is nobody's result`);
  const told = (await rowsOf(db, 'events')).flatMap(({ topic, data }) => {
    const said = JSON.parse(String(data)) as { type?: string; numbers?: number[] };
    return said.type === 'told' ? (said.numbers ?? []).map((number) => `${topic} ${number}`) : [];
  });
  more('told', told);
  more(
    'the predictor of',
    (await rowsOf(db, 'predictors')).map(({ device_id, space_id }) => `${device_id} ${space_id}`),
  );
  return found;
}

/** What a folder came to: comparable between an unbroken run and one that was killed. */
export async function outcomeOf(dataDir: string): Promise<string> {
  const db = await readDatabase(join(dataDir, 'hilda.sqlite'));
  try {
    const trials = (await rowsOf(db, 'trials'))
      .sort((a, b) => Number(a.number) - Number(b.number))
      .map((row) => [row.number, row.architecture_id, row.state, row.metric_values, row.told]);
    const samples = (await rowsOf(db, 'predictors')).map(({ body }) =>
      (JSON.parse(String(body)) as { samples: { structureHash: string; value: number }[] }).samples.map(
        ({ structureHash, value }) => [structureHash, value],
      ),
    );
    const jobs = (await rowsOf(db, 'jobs'))
      .filter((row) => row.idempotency_key !== null)
      .map((row) => `${row.idempotency_key} ${row.state}`)
      .sort();
    const studies = (await rowsOf(db, 'studies')).map(({ state, reason }) => [state, reason]);
    return JSON.stringify({ studies, trials, samples, jobs });
  } finally {
    await db.destroy();
  }
}

/** Everything that an old database holds must be there after its migrations: names of rows by table. */
export async function namesIn(dataDir: string): Promise<string[]> {
  const db = await readDatabase(join(dataDir, 'hilda.sqlite'));
  const named = async (table: string, ...columns: string[]): Promise<string[]> =>
    (await rowsOf(db, table))
      // A migration gave these a table of their own.
      .filter(({ key }) => key !== 'specialisations')
      .map((row) => `${table} ${columns.map((column) => row[column]).join(' ')}`);
  try {
    return (
      await Promise.all([
        named('devices', 'id'),
        named('studies', 'id', 'name'),
        named('trials', 'study_id', 'number', 'architecture_id', 'state'),
        named('measurements', 'id', 'structure_hash', 'verdict'),
        named('predictors', 'id'),
        named('key_values', 'key'),
      ])
    ).flat();
  } finally {
    await db.destroy();
  }
}

type Row = Readonly<Record<string, unknown>>;

/** All rows; none where a table is not there yet. */
async function rowsOf(db: Knex, table: string): Promise<Row[]> {
  return (await db.schema.hasTable(table)) ? ((await db(table).select('*')) as Row[]) : [];
}
