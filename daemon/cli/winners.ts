import type { Command } from 'commander';
import type { FrontRowView } from '../api/schemas.js';
import { HildaError } from '../core/errors.js';
import { formatMetric } from '../core/quantities.js';
import { type Limit, winner } from '../study/winner.js';

/** Throws USAGE_INVALID. */
export function parseLimit(text: string): Limit {
  const match = /^([\w@.:-]+?)(<=|>=)([-+\d.eE]+)$/.exec(text.replaceAll(' ', ''));
  const bound = Number(match?.[3]);
  if (!match || !Number.isFinite(bound))
    throw new HildaError('USAGE_INVALID', `${text} is no limit`, {
      hint: 'For example: --limit "latencyUs<=2000"',
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

/** Throws SPACE_INFEASIBLE where no row is within the limits. */
export function bestWithin<Row extends Pick<FrontRowView, 'values'> & { readonly study: string }>(
  rows: readonly Row[],
  { limit, best }: WinnerOptions,
  goal: 'max' | 'min',
): Row {
  const chosen = winner(rows, limit, { metric: best, goal });
  if (chosen) return chosen;
  const studies = [...new Set(rows.map(({ study }) => study))].join(', ');
  throw new HildaError('SPACE_INFEASIBLE', `no front member of ${studies} is within the limits`);
}

export const describeWinner = ({
  trialNumber,
  study,
  values,
}: Pick<FrontRowView, 'values' | 'trialNumber'> & { readonly study: string }): string =>
  [
    `trial ${trialNumber} of ${study}`,
    ...Object.entries(values).map(([metric, value]) => `  ${metric} ${formatMetric(metric, value)}`),
  ].join('\n');
