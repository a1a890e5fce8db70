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
  const isMeasured = ended.some(({ values }) => spec.devices.some((_, i) => hasCosts(values, spec, i)));
  const enough = isOver ? 1 : patience;
  if (!isMeasured && failed.filter(({ number }) => number >= since).length >= enough)
    return told(failed, 'MEASUREMENT_INVALID', `no measurement of ${failed.length} trials is valid`);
  if (!isOver || ended.length === 0 || !ended.every(isFault)) return undefined;
  const [first] = ended as [TrialRecord];
  return told(ended, codeOf(first) ?? 'INTERNAL', `none of ${ended.length} trials came to its end`);
}

/** Whether an error ended it, and no limit. */
const isFault = (trial: TrialRecord): boolean => trial.state !== 'complete' && codeOf(trial) !== undefined;

function codeOf({ reason }: TrialRecord): ErrorCode | undefined {
  const [word = ''] = (reason ?? '').split(':');
  return Object.hasOwn(errorTable, word) ? (word as ErrorCode) : undefined;
}

/** What a trial ended with, in a word: the verdict of an invalid measurement, else the code of its error. */
function kindOf({ reason }: TrialRecord): string {
  const [, verdict] = /^MEASUREMENT_INVALID: (\w+) after /.exec(reason ?? '') ?? [];
  return verdict ?? (reason ?? '').split(':')[0] ?? '';
}

function told(trials: readonly TrialRecord[], code: ErrorCode, what: string): HildaError {
  const kinds = new Map<string, number>();
  for (const trial of trials) kinds.set(kindOf(trial), (kinds.get(kindOf(trial)) ?? 0) + 1);
  const counts = [...kinds].sort((a, b) => b[1] - a[1]).map(([kind, count]) => `${count} ${kind}`);
  const last = trials.at(-1)?.reason ?? '';
  return new HildaError(code, `${what}: ${counts.join(', ')}; the last: ${last}`, {
    hint: 'Remove the cause, for example other work on the machine, then resume the study.',
  });
}
