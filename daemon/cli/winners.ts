import type { Command } from 'commander';
import type { FrontRowView } from '../api/schemas.js';
import { differenceText, evaluatedText } from '../core/comparison-words.js';
import { HildaError } from '../core/errors.js';
import { findId } from '../core/id-beginnings.js';
import { isExact, isShare } from '../core/measurement.js';
import { type Goal, type Lead, type Limit, leadOf, winner } from '../study/winner.js';
import type { CliContext } from './context.js';

/** Throws USAGE_INVALID. */
function parseLimit(text: string): Limit {
  const match = /^([\w@.:-]+?)(<=|>=)([-+\d.eE]+)$/.exec(text.replaceAll(' ', ''));
  const bound = Number(match?.[3]);
  if (!match || !Number.isFinite(bound))
    throw new HildaError('USAGE_INVALID', `${text} is no limit`, {
      hint: 'For example: --limit "latencyUs<=2000"',
    });
  if (isShare(match[1] as string) && (bound < 0 || bound > 1))
    throw new HildaError('USAGE_INVALID', `${text}: accuracies are shares of 1`, {
      hint: 'For example: --limit "accuracy>=0.915" for 91.5 %.',
    });
  return { metric: match[1] as string, relation: match[2] as Limit['relation'], bound };
}

export interface WinnerOptions {
  readonly limit: Limit[];
  readonly best: string;
  readonly goal: string;
}

/** What every command takes that picks one front member of several studies. */
export const withWinnerOptions = (command: Command): Command =>
  command
    .option('-l, --limit <limit>', 'such as "latencyUs<=2000"; may be given again', collect, [] as Limit[])
    .option('-b, --best <metric>', 'which metric decides', 'accuracy')
    .option('-g, --goal <goal>', 'max or min', 'max');

const collect = (text: string, before: Limit[]): Limit[] => [...before, parseLimit(text)];

/** Throws USAGE_INVALID. */
export function winnerGoal({ goal }: Pick<WinnerOptions, 'goal'>): 'max' | 'min' {
  if (goal === 'max' || goal === 'min') return goal;
  throw new HildaError('USAGE_INVALID', `--goal: ${goal} is neither max nor min`);
}

export type StudyRow = FrontRowView & { readonly study: string };

export interface Won<Row> {
  readonly winner: Row;
  /** The next best within the limits, and how far behind it is; null where no other row is within them. */
  readonly runnerUp: (Pick<StudyRow, 'study' | 'trialNumber'> & Lead) | null;
}

/** Throws SPACE_INFEASIBLE where no row is within the limits. */
export async function bestWithin<Row extends StudyRow>(
  rows: readonly Row[],
  { limit, best, ...asked }: WinnerOptions,
  context: CliContext,
): Promise<Won<Row>> {
  const goal: Goal = { metric: best, goal: winnerGoal(asked) };
  checkKnown(rows, [...limit.map(({ metric }) => metric), best]);
  const chosen = winner(rows, limit, goal);
  if (!chosen) {
    const studies = [...new Set(rows.map(({ study }) => study))].join(', ');
    throw new HildaError('SPACE_INFEASIBLE', `no front member of ${studies} is within the limits`);
  }
  const others = rows.filter(({ architectureId }) => architectureId !== chosen.architectureId);
  const next = winner(others, limit, goal);
  if (!next) return { winner: chosen, runnerUp: null };
  const { study, trialNumber } = next;
  return {
    winner: chosen,
    runnerUp: { study, trialNumber, ...(await leadBetween(chosen, next, best, context)) },
  };
}

/** Throws USAGE_INVALID where a metric is one that no row has: no limit on it could ever be met. */
function checkKnown(rows: readonly StudyRow[], metrics: readonly string[]): void {
  const known = [...new Set(rows.flatMap(({ values }) => Object.keys(values)))].sort();
  const unknown = metrics.find((metric) => !known.includes(metric));
  if (rows.length === 0 || unknown === undefined) return;
  const found = findId(known, unknown);
  const near = 'near' in found && found.near.length > 0 ? `Did you mean ${found.near.join(' or ')}? ` : '';
  throw new HildaError('USAGE_INVALID', `no front member has the metric ${unknown}`, {
    hint: `${near}Metrics: ${known.join(', ')}.`,
  });
}

/** Image by image within a study, by their intervals across studies. */
async function leadBetween(
  best: StudyRow,
  other: StudyRow,
  metric: string,
  context: CliContext,
): Promise<Lead> {
  if (best.study === other.study) {
    const pair = [best.trialNumber, other.trialNumber] as const;
    const found = (await context.client.compareTrials(best.study, pair, context)).find(
      (one) => one.metric === metric,
    );
    if (found)
      return {
        standing: found.apart ? 'apart' : 'not apart',
        difference: { value: found.difference, ci: found.ci },
        basis: found.basis,
      };
  }
  const known = (row: StudyRow) => ({ value: row.values[metric] as number, ci: intervalOf(row, metric) });
  return leadOf(known(best), known(other));
}

/** Undefined where the metric is exact, null where nobody knows. */
function intervalOf(
  { evidence, latencyCiUs, provenance }: StudyRow,
  metric: string,
): readonly [number, number] | null | undefined {
  if (isExact(metric, provenance)) return undefined;
  const [, at] = metric.split('@');
  const timed = /^latencyUs(@|$)/.test(metric)
    ? (new Map(Object.entries(latencyCiUs)).get(at ?? '') ?? Object.values(latencyCiUs)[0])
    : undefined;
  return timed ?? (Object.hasOwn(evidence, metric) ? evidence[metric]?.ci : null) ?? null;
}

export function describeWinner(
  { winner: { trialNumber, study, values, evidence }, runnerUp }: Won<StudyRow>,
  { best }: Pick<WinnerOptions, 'best'>,
): string {
  return [
    `trial ${trialNumber} of ${study}`,
    ...Object.keys(values).map((metric) => `  ${metric} ${evaluatedText(metric, values, evidence)}`),
    ...(runnerUp ? [describeLead(runnerUp, best)] : []),
  ].join('\n');
}

function describeLead(
  { study, trialNumber, standing, difference, basis }: NonNullable<Won<StudyRow>['runnerUp']>,
  metric: string,
): string {
  const who = `the runner-up, trial ${trialNumber} of ${study}`;
  if (!difference || basis === null)
    return `It cannot be compared with ${who}, in ${metric}: one of the two has no interval.`;
  if (basis === 'exact')
    return standing === 'apart'
      ? `${who} is behind in ${metric}, which is counted exactly.`
      : `${who} has the same ${metric}.`;
  const by = differenceText({
    trialNumber,
    metric,
    difference: difference.value,
    ci: difference.ci,
    basis,
    apart: standing === 'apart',
  });
  return standing === 'apart'
    ? `Apart from ${who}, in ${metric}: ${by}.`
    : `It cannot be told from ${who}, in ${metric}: ${by}.`;
}
