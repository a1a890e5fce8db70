import { type ErrorCode, errorTable, HildaError } from '../core/errors.js';
import type { TrialRecord } from '../store/contract.js';
import { hasCosts, type StudySpec } from './spec.js';

/** Failed trials without one valid measurement before a study is given up early: a batch or more. */
const patience = 10;

/**
 * Why a study is not worth going on with, or has come to nothing; undefined where it may go on or has a result. `since`: the
 * first trial of this start; earlier ones do not end a resumed study early. A study whose trials broke limits, or were measured, has said
 * something about the space; one in which nothing could be measured, or nothing came to its end, has not.
 */
export function fruitless(
  trials: readonly TrialRecord[],
  spec: StudySpec,
  { since, isOver }: { readonly since: number; readonly isOver: boolean },
): HildaError | undefined {
  const ended = trials.filter(({ state }) => state !== 'asked');
  const failed = ended.filter(({ state }) => state === 'failed');
  // What was measured of a trial whose evaluator failed says nothing either.
  const isMeasured = ended.some(
    ({ state, values }) => state !== 'failed' && spec.devices.some((_, i) => hasCosts(values, spec, i)),
  );
  const enough = isOver ? 1 : patience;
  if (!isMeasured && failed.filter(({ number }) => number >= since).length >= enough)
    return told(failed, failed.every(isUnevaluated) ? 'EVALUATION_FAILED' : 'MEASUREMENT_INVALID');
  if (!isOver || ended.length === 0 || !ended.every(isFault)) return undefined;
  return told(ended, undefined);
}

/** Whether an error ended it, and no limit. */
const isFault = (trial: TrialRecord): boolean => trial.state !== 'complete' && codeOf(trial) !== undefined;

const isUnevaluated = (trial: TrialRecord): boolean => codeOf(trial) === 'EVALUATION_FAILED';

function codeOf({ reason }: TrialRecord): ErrorCode | undefined {
  const [word = ''] = (reason ?? '').split(':');
  return Object.hasOwn(errorTable, word) ? (word as ErrorCode) : undefined;
}

/** What a trial ended with, in a word: the verdict of an invalid measurement, else the code of its error. */
function kindOf({ reason }: TrialRecord): string {
  const [, verdict] = /^MEASUREMENT_INVALID: (\w+) after /.exec(reason ?? '') ?? [];
  return verdict ?? (reason ?? '').split(':')[0] ?? '';
}

/** The trials' common end, by how often each kind came, with the words of the most frequent. Its code where none is given. */
function told(trials: readonly TrialRecord[], code: ErrorCode | undefined): HildaError {
  const kinds = new Map<string, TrialRecord[]>();
  for (const trial of trials) kinds.set(kindOf(trial), [...(kinds.get(kindOf(trial)) ?? []), trial]);
  const sorted = [...kinds].sort(([, a], [, b]) => b.length - a.length);
  const counts = sorted.map(([kind, { length }]) => `${length} ${kind}`);
  const typical = sorted[0]?.[1].at(-1) as TrialRecord;
  const what =
    code === 'MEASUREMENT_INVALID'
      ? `no measurement of ${trials.length} trials is valid`
      : code === 'EVALUATION_FAILED'
        ? `the evaluator gave no value for any of ${trials.length} trials`
        : `none of ${trials.length} trials came to its end`;
  return new HildaError(
    code ?? codeOf(typical) ?? 'INTERNAL',
    `${what}: ${counts.join(', ')}; most often: ${typical.reason ?? ''}`,
    { hint: 'Remove the cause, for example other work on the machine, then resume the study.' },
  );
}
