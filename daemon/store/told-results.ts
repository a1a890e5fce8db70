import type { Knex } from 'knex';
import { HildaError } from '../core/errors.js';
import type { StudyId } from '../core/ids.js';
import { canonicalJson, type Json } from '../core/json.js';
import type { Store, TrialStep } from './contract.js';
import type { Database } from './database.js';
import { fromJsonText, toJsonText } from './json-columns.js';
import { noTrial } from './one-trial.js';
import { requireStudy } from './studies.js';

interface ToldRow {
  readonly number: number;
  readonly state: string;
  readonly told_result: string | null;
}

/** An engine takes so many numbers in one question, at least. */
const asked = 500;

/** What programs outside say of trials. */
export function toldResultStore(database: Database): Pick<Store, 'tellOutside' | 'steps'> {
  return {
    tellOutside: (studyId, { results, steps }) =>
      database.write(async ({ db, publish }) => {
        await requireStudy(db, studyId);
        const told = new Set<number>();
        for (const { number, result } of results)
          if (await keepResult(db, studyId, number, result)) told.add(number);
        // Steps of a trial that the same call ends belong to it.
        const open = new Set(told);
        const stepped = new Set<number>();
        for (const step of steps) if (await keepStep(db, studyId, step, open)) stepped.add(step.number);
        const topic = `study.${studyId}`;
        if (stepped.size > 0) await publish(topic, { type: 'steps', studyId, numbers: [...stepped] });
        if (told.size > 0) await publish(topic, { type: 'result', studyId, numbers: [...told] });
      }),

    steps: async (studyId, numbers) => {
      const found = new Map<number, TrialStep[]>();
      const some = await database.read<unknown>((db) =>
        db('trial_steps').select('number').where({ study_id: studyId }).first(),
      );
      // Most studies have none.
      if (!some) return found;
      for (let from = 0; from < numbers.length; from += asked) {
        const rows = await database.read<(TrialStep & { number: number })[]>((db) =>
          db('trial_steps')
            .select('number', 'step', 'value')
            .where({ study_id: studyId })
            .whereIn('number', numbers.slice(from, from + asked))
            .orderBy(['number', 'step']),
        );
        for (const { number, step, value } of rows) {
          const known = found.get(number) ?? [];
          known.push({ step, value });
          found.set(number, known);
        }
      }
      return found;
    },
  };
}

/** Whether it is news. */
async function keepResult(db: Knex, studyId: StudyId, number: number, result: Json): Promise<boolean> {
  const { state, told_result: stored } = await toldRow(db, studyId, number);
  if (stored !== null) {
    const known = fromJsonText<Json>(stored, `the result of trial ${number} of ${studyId}`);
    if (canonicalJson(known) === canonicalJson(result)) return false;
    throw conflict(`trial ${number} of ${studyId} has another result`, {
      studyId,
      number,
      stored: known,
      offered: result,
    });
  }
  if (state !== 'asked') throw ended(studyId, number, state);
  await db('trials')
    .where({ study_id: studyId, number })
    .update({ told_result: toJsonText(result) });
  return true;
}

async function keepStep(
  db: Knex,
  studyId: StudyId,
  { number, step, value }: TrialStep & { readonly number: number },
  open: ReadonlySet<number>,
): Promise<boolean> {
  const where = { study_id: studyId, number, step };
  const known: { readonly value: number } | undefined = await db('trial_steps')
    .select('value')
    .where(where)
    .first();
  if (known?.value === value) return false;
  if (known)
    throw conflict(`trial ${number} of ${studyId} has another value at step ${step}`, {
      studyId,
      number,
      step,
      stored: known.value,
      offered: value,
    });
  const { state, told_result: result } = await toldRow(db, studyId, number);
  if (!open.has(number) && (state !== 'asked' || result !== null)) throw ended(studyId, number, state);
  await db('trial_steps').insert({ ...where, value });
  return true;
}

async function toldRow(db: Knex, studyId: StudyId, number: number): Promise<ToldRow> {
  const row: ToldRow | undefined = await db('trials')
    .select('number', 'state', 'told_result')
    .where({ study_id: studyId, number })
    .first();
  if (row) return row;
  throw noTrial(studyId, number);
}

const conflict = (
  message: string,
  details: { readonly stored: Json; readonly offered: Json } & Readonly<Record<string, Json>>,
): HildaError =>
  new HildaError(
    'RESULT_CONFLICT',
    `${message}: ${canonicalJson(details.stored)}, not ${canonicalJson(details.offered)}`,
    { details },
  );

const ended = (studyId: StudyId, number: number, state: string): HildaError =>
  new HildaError(
    'STATE_CONFLICT',
    `trial ${number} of ${studyId} ${state === 'asked' ? 'has its result' : `ended as ${state}`} and takes no other`,
    { details: { studyId, number, state } },
  );
