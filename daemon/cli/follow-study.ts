import type { StudySummaryView } from '../api/schemas.js';
import { watchEvents } from '../api/watch.js';
import { formatDuration } from '../core/quantities.js';
import type { CliContext } from './context.js';
import { Progress } from './terminal/progress.js';

/** Between two looks at a study whose events come fast. */
const minIntervalMs = 500;

/** Shows how far a study is until it no longer runs. Lost connections are taken up again. */
export async function followStudy(
  id: string,
  { client, terminal, signal }: CliContext,
): Promise<StudySummaryView> {
  const over = new AbortController();
  const watching = watchEvents(client.base, {
    topics: [`study.${id}`],
    clock: terminal.clock,
    signal: AbortSignal.any([signal, over.signal]),
  });
  const progress = new Progress(terminal);
  let shownMs = 0;
  try {
    for await (const event of watching) {
      // A trial makes several events; the last one of a study must never be passed over.
      const ends = event !== 'subscribed' && isStateChange(event.data);
      if (event !== 'subscribed' && !ends && terminal.clock.nowMs() - shownMs < minIntervalMs) continue;
      const summary = await client.study(id, { signal });
      shownMs = terminal.clock.nowMs();
      progress.show(progressLine(summary));
      if (summary.record.state !== 'running') return summary;
    }
  } finally {
    over.abort();
    progress.end();
  }
  return client.study(id, { signal });
}

/** Step and trial events are frequent and never end a study; any other event may. */
const isStateChange = (data: unknown): boolean => {
  const type = (data as { readonly type?: unknown } | null)?.type;
  return type !== 'step' && !(typeof type === 'string' && /trial|measure|ask|tell|told/.test(type));
};

export function progressLine({
  complete,
  infeasible,
  failed,
  asked,
  budgetTrials,
  frontSize,
  hypervolume,
  devices,
  etaMs,
  expectedTrials,
  record,
}: StudySummaryView): string {
  const reached =
    expectedTrials !== null && expectedTrials < budgetTrials
      ? `, which is enough for about ${expectedTrials}`
      : '';
  const left = record.state === 'running' ? `, ${formatDuration(etaMs)} left${reached}` : `, ${record.state}`;
  const lacks = devices
    .filter(({ missing }) => missing > 0)
    .map((one) => `, ${one.missing} lack ${one.deviceId}`);
  return `trials ${complete + infeasible + failed}/${budgetTrials} (${asked} under way${lacks.join('')}), front ${frontSize}, hypervolume ${hypervolume.toFixed(4)}${left}`;
}
