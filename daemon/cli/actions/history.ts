import type { HistoryView } from '../../api/history-schemas.js';
import { formatMetric } from '../../core/quantities.js';
import type { CliContext } from '../context.js';

export async function historyAction(
  context: CliContext,
  id: string,
  { metric }: { readonly metric: string },
): Promise<void> {
  const history = await context.client.history(id, metric, context);
  context.answer('history', { history }, () => describeHistory(history));
}

function describeHistory({ deviceId, metric, points, changes, suspicion }: HistoryView): string {
  const first = points[0];
  const last = points.at(-1);
  if (!first || !last) return `No valid measurement on ${deviceId} has ${metric}.`;
  const value = (point: typeof first): string => formatMetric(metric, point.value, point.ci);
  return [
    `${points.length} ${points.length === 1 ? 'measurement' : 'measurements'} on ${deviceId} from ${dayOf(first.takenAtMs)} to ${dayOf(last.takenAtMs)}`,
    `first ${value(first)}, last ${value(last)}`,
    ...(changes.length === 0 ? ['no change of the level'] : changes.flatMap(describeChange)),
    ...(suspicion
      ? [
          `suspected: ${percent(suspicion.ratio)} since ${suspicion.since}; ${suspicion.pointsMissing} more points tell it from an episode`,
        ]
      : []),
  ].join('\n');
}

function describeChange(change: HistoryView['changes'][number]): string[] {
  const { ratio, ratioCi, since, sinceMs, between, cause, returnedAt, differences } = change;
  const [low, high] = ratioCi.map(percent);
  return [
    `${percent(ratio)} (${low} to ${high}) since ${since} of ${dayOf(sinceMs)}, at 95 % between ${between[0]} and ${between[1]}`,
    ...(returnedAt === null ? [] : [`  an episode: the old level holds again from ${returnedAt} on`]),
    ...(cause === 'machine' ? ['  the references moved with it: the device changed'] : []),
    ...differences.map(({ path, before, since: now }) => `  ${path}: ${before}, since then ${now}`),
  ];
}

const percent = (ratio: number): string => `${ratio >= 1 ? '+' : ''}${(100 * (ratio - 1)).toFixed(1)} %`;
const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);
