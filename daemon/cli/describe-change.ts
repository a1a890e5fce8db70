import type { HistoryView } from '../api/history-schemas.js';

type Change = HistoryView['changes'][number];

/** A change of a series' level in lines of text: how much, since when, and what else changed then. */
export function describeChange({
  ratio,
  ratioCi: [low, high],
  since,
  sinceMs,
  between: [first, last],
  cause,
  returnedAt,
  differences,
}: Pick<
  Change,
  'ratio' | 'ratioCi' | 'since' | 'sinceMs' | 'between' | 'cause' | 'returnedAt' | 'differences'
>): string[] {
  const interval = low === high ? '' : ` (${percent(low)} to ${percent(high)})`;
  const when = first === last ? '' : `, at 95 % between ${first} and ${last}`;
  return [
    `${percent(ratio)}${interval} since ${since} of ${dayOf(sinceMs)}${when}`,
    ...(returnedAt === null ? [] : [`  an episode: the old level holds again from ${returnedAt} on`]),
    ...(cause === 'machine' ? ['  the references moved with it: the device changed'] : []),
    ...differences.map(({ path, before, since: now }) => `  ${path}: ${before}, since then ${now}`),
  ];
}

export const percent = (ratio: number): string =>
  `${ratio >= 1 ? '+' : ''}${(100 * (ratio - 1)).toFixed(1)} %`;
export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
