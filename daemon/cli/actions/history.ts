import type { HistoryView } from '../../api/history-schemas.js';
import { formatMetric } from '../../core/quantities.js';
import type { CliContext } from '../context.js';
import { dayOf, describeChange, percent } from '../describe-change.js';

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
