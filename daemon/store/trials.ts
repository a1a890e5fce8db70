import type { Knex } from 'knex';
import { HildaError } from '../core/errors.js';
import type { AnswersOf } from '../core/evidence.js';
import type { ArchitectureId, StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import { packAnswers, unpackAnswers } from './answers.js';
import type { Store, TrialFilter, TrialRecord } from './contract.js';
import type { Database } from './database.js';
import { fromJsonText, toJsonText } from './json-columns.js';
import { noTrial } from './one-trial.js';
import { requireStudy } from './studies.js';
import { resealChunk, sealChunks } from './trial-chunks.js';

interface TrialRow {
  readonly study_id: StudyId;
  readonly number: number;
  readonly architecture_id: ArchitectureId;
  readonly architecture: string;
  readonly note: string;
  readonly state: TrialRecord['state'];
  /** SQLite answers 0 or 1, PostgreSQL a boolean. */
  readonly told: number | boolean;
  readonly metric_values: string;
  readonly evidence: string;
  readonly predicted: string;
  readonly measurements: string;
  readonly told_result: string | null;
  readonly reason: string | null;
  readonly asked_ms: number;
  readonly finished_ms: number | null;
}

/** All but the answers. */
const columns: readonly (keyof TrialRow)[] = [
  'study_id',
  'number',
  'architecture_id',
  'architecture',
  'note',
  'state',
  'told',
  'metric_values',
  'evidence',
  'predicted',
  'measurements',
  'told_result',
  'reason',
  'asked_ms',
  'finished_ms',
];

/** An engine takes so many numbers in one question, at least. */
const asked = 500;
/** And so many rows at once. */
const rowsAtOnce = 30;

export function trialStore(
  database: Database,
): Pick<
  Store,
  'askTrials' | 'finishTrial' | 'reviseTrial' | 'tellTrials' | 'trials' | 'trialCount' | 'answers' | 'heard'
> {
  return {
    askTrials: (studyId, trials, { sampler, rng }) =>
      database.write(async ({ db, nowMs, publish }) => {
        await requireStudy(db, studyId);
        const numbered = await db('trials')
          .where({ study_id: studyId })
          .max<{ last: number | null }[]>('number as last');
        const first = (numbered[0]?.last ?? -1) + 1;
        const inserted = trials.map(({ architectureId, architecture, note, predicted }, i) => ({
          study_id: studyId,
          number: first + i,
          architecture_id: architectureId,
          architecture: toJsonText(architecture),
          note,
          state: 'asked',
          told: false,
          metric_values: '{}',
          evidence: '{}',
          answers: '{}',
          predicted: toJsonText(predicted),
          measurements: '{}',
          reason: null,
          asked_ms: nowMs,
          finished_ms: null,
        }));
        for (let from = 0; from < inserted.length; from += rowsAtOnce)
          await db('trials').insert(inserted.slice(from, from + rowsAtOnce));
        await db('studies')
          .where({ id: studyId })
          .update({ sampler: toJsonText(sampler), rng: toJsonText(rng), updated_ms: nowMs });
        const numbers = trials.map((_, i) => first + i);
        if (numbers.length > 0)
          await publish(`study.${studyId}`, {
            type: 'asked',
            studyId,
            numbers,
            notes: trials.map(({ note }) => note),
          });
        const rows: TrialRow[] = await db('trials')
          .select(...columns)
          .where({ study_id: studyId })
          .andWhere('number', '>=', first)
          .orderBy('number');
        return rows.map(toTrial);
      }),

    finishTrial: ({ studyId, number, state, values, reason, evidence = {}, answers = {}, heard = [] }) =>
      database.write(async ({ db, nowMs, publish }) => {
        await requireTrialIn('asked', db, studyId, number);
        const finished = {
          state,
          metric_values: toJsonText(values),
          evidence: toJsonText(evidence),
          answers: packAnswers(answers),
          heard: toJsonText(heard),
          reason,
          finished_ms: nowMs,
        };
        await db('trials').where({ study_id: studyId, number }).update(finished);
        const said = { state, values, evidence, reason } as unknown as { readonly [key: string]: Json };
        await publish(`study.${studyId}`, { type: 'trial', studyId, number, ...said, revised: false });
        return toTrial(await requireTrial(db, studyId, number));
      }),

    reviseTrial: ({ studyId, number, state, values, reason, evidence, answers = {}, heard = [] }) =>
      database.write(async ({ db, publish }) => {
        const { told } = await requireTrialIn('complete', db, studyId, number);
        if (!told) throw conflict({ study_id: studyId, number }, 'was not told yet');
        const known = (await readAnswers(db, studyId, [number])).get(number);
        const heardSoFar = (await readHeard(db, studyId, [number])).get(number);
        const revised = {
          state,
          metric_values: toJsonText(values),
          ...(evidence && { evidence: toJsonText(evidence) }),
          answers: packAnswers({ ...known, ...answers }),
          ...(heardSoFar && { heard: toJsonText([...heardSoFar, ...heard]) }),
          reason,
        };
        await db('trials').where({ study_id: studyId, number }).update(revised);
        await resealChunk(db, studyId, number);
        const record = toTrial(await requireTrial(db, studyId, number));
        const said = { state, values, evidence: record.evidence, reason } as unknown as {
          readonly [key: string]: Json;
        };
        await publish(`study.${studyId}`, { type: 'trial', studyId, number, ...said, revised: true });
        return record;
      }),

    tellTrials: (studyId, numbers, sampler) =>
      database.write(async ({ db, nowMs, publish }) => {
        await requireStudy(db, studyId);
        for (let from = 0; from < numbers.length; from += asked)
          await tell(db, studyId, numbers.slice(from, from + asked));
        await sealChunks(db, studyId);
        await db('studies')
          .where({ id: studyId })
          .update({ sampler: toJsonText(sampler), updated_ms: nowMs });
        if (numbers.length > 0)
          await publish(`study.${studyId}`, { type: 'told', studyId, numbers: [...numbers] });
      }),

    trials: async (studyId, { fromNumber = 0, limit, ...filter } = {}) => {
      await database.read((db) => requireStudy(db, studyId));
      const found: TrialRecord[] = [];
      for (const part of inParts(filter)) {
        const rows = await database.read<TrialRow[]>((db) => {
          const query = matching(db, studyId, part)
            .select(...columns)
            .andWhere('number', '>=', fromNumber)
            .orderBy('number');
          return limit === undefined ? query : query.limit(limit);
        });
        for (const row of rows) found.push(toTrial(row));
      }
      return found.sort((a, b) => a.number - b.number).slice(0, limit);
    },

    trialCount: async (studyId, filter = {}) => {
      await database.read((db) => requireStudy(db, studyId));
      let total = 0;
      for (const part of inParts(filter)) {
        const counted = await database.read<{ readonly count: number | string }[]>((db) =>
          matching(db, studyId, part).count({ count: '*' }),
        );
        total += Number(counted[0]?.count ?? 0);
      }
      return total;
    },

    answers: async (studyId, numbers) => {
      await database.read((db) => requireStudy(db, studyId));
      return database.read((db) => readAnswers(db, studyId, numbers));
    },

    heard: async (studyId, numbers) => {
      await database.read((db) => requireStudy(db, studyId));
      return database.read((db) => readHeard(db, studyId, numbers));
    },
  };
}

/** Throws NOT_FOUND, or STATE_CONFLICT where one has no result or was told. */
async function tell(db: Knex, studyId: StudyId, numbers: readonly number[]): Promise<void> {
  const rows: readonly Pick<TrialRow, 'study_id' | 'number' | 'state' | 'told'>[] = await db('trials')
    .select('study_id', 'number', 'state', 'told')
    .where({ study_id: studyId })
    .whereIn('number', numbers);
  const known = new Map(rows.map((row) => [row.number, row]));
  const seen = new Set<number>();
  for (const number of numbers) {
    const trial = known.get(number);
    if (!trial) throw noTrial(studyId, number);
    const told = Boolean(trial.told) || seen.has(number);
    if (trial.state === 'asked' || told)
      throw conflict(trial, told ? 'was told already' : 'has no result yet');
    seen.add(number);
  }
  await db('trials').where({ study_id: studyId }).whereIn('number', numbers).update({ told: true });
}

/** The same question as several that an engine takes; together they exclude what it excludes. */
function inParts({ architectureIds, numbers, ...filter }: TrialFilter): TrialFilter[] {
  const slices = <T>(all: readonly T[]): T[][] =>
    Array.from({ length: Math.ceil(all.length / asked) }, (_, i) => all.slice(i * asked, (i + 1) * asked));
  const byIds = architectureIds
    ? slices([...new Set(architectureIds)]).map((some) => ({ ...filter, architectureIds: some }))
    : [filter];
  if (!numbers) return byIds;
  return byIds.flatMap((one) => slices([...new Set(numbers)]).map((some) => ({ ...one, numbers: some })));
}

function matching(
  db: Knex,
  studyId: StudyId,
  { states, architectureId, architectureIds, numbers }: TrialFilter,
): Knex.QueryBuilder {
  const query = db('trials').where({ study_id: studyId });
  if (architectureIds) query.whereIn('architecture_id', [...architectureIds]);
  if (numbers) query.whereIn('number', [...numbers]);
  if (architectureId !== undefined) query.andWhere({ architecture_id: architectureId });
  if (states) query.whereIn('state', [...states]);
  return query;
}

async function readAnswers(
  db: Knex,
  studyId: StudyId,
  numbers: readonly number[],
): Promise<Map<number, AnswersOf>> {
  const found = new Map<number, AnswersOf>();
  for (let from = 0; from < numbers.length; from += asked) {
    const rows: readonly { readonly number: number; readonly answers: string }[] = await db('trials')
      .select('number', 'answers')
      .where({ study_id: studyId })
      .whereIn('number', numbers.slice(from, from + asked));
    for (const { number, answers } of rows)
      found.set(number, unpackAnswers(answers, `trial ${number} of ${studyId}`));
  }
  return found;
}

async function readHeard(
  db: Knex,
  studyId: StudyId,
  numbers: readonly number[],
): Promise<Map<number, readonly Json[] | null>> {
  const found = new Map<number, readonly Json[] | null>();
  for (let from = 0; from < numbers.length; from += asked) {
    const rows: readonly { readonly number: number; readonly heard: string | null }[] = await db('trials')
      .select('number', 'heard')
      .where({ study_id: studyId })
      .whereIn('number', numbers.slice(from, from + asked));
    for (const { number, heard } of rows)
      found.set(number, heard === null ? null : fromJsonText<Json[]>(heard, `trial ${number} of ${studyId}`));
  }
  return found;
}

/** Throws NOT_FOUND (STUDY_UNKNOWN without its study), or STATE_CONFLICT when the trial is in another state. */
export async function requireTrialIn(
  state: 'asked' | 'complete',
  db: Knex,
  studyId: StudyId,
  number: number,
): Promise<TrialRecord> {
  const trial = await requireTrial(db, studyId, number);
  if (trial.state !== state) throw conflict(trial, `is ${trial.state}, not ${state}`);
  return toTrial(trial);
}

async function requireTrial(db: Knex, studyId: StudyId, number: number): Promise<TrialRow> {
  const row: TrialRow | undefined = await db('trials')
    .select(...columns)
    .where({ study_id: studyId, number })
    .first();
  if (row) return row;
  await requireStudy(db, studyId);
  throw noTrial(studyId, number);
}

const conflict = (
  { study_id: studyId, number }: Pick<TrialRow, 'study_id' | 'number'>,
  what: string,
): HildaError =>
  new HildaError('STATE_CONFLICT', `trial ${number} of ${studyId} ${what}`, { details: { studyId, number } });

const toTrial = (row: TrialRow): TrialRecord => {
  const parse = <T>(text: string): T => fromJsonText(text, `trial ${row.number} of ${row.study_id}`);
  return {
    studyId: row.study_id,
    number: row.number,
    architectureId: row.architecture_id,
    architecture: parse(row.architecture),
    note: row.note,
    state: row.state,
    told: Boolean(row.told),
    values: parse(row.metric_values),
    evidence: parse(row.evidence),
    predicted: parse(row.predicted),
    measurements: parse(row.measurements),
    result: row.told_result === null ? null : parse(row.told_result),
    reason: row.reason,
    askedMs: row.asked_ms,
    finishedMs: row.finished_ms,
  };
};
