import { Command } from 'commander';
import type { FrontRowView } from '../../api/schemas.js';
import { act, type Terminal } from '../context.js';
import { formatCount, formatInterval, formatMetric } from '../format.js';
import type { Column } from '../table.js';

export const searchFrontCommand = (terminal: Terminal): Command =>
  new Command('front')
    .description('the Pareto front: every point of it was measured')
    .argument('<study>', 'its id')
    .action(
      act(terminal, async (context, study: string) => {
        const front = await context.client.front(study, context);
        context.answerTable('front', { study, front }, columns(front), front, 'No trial is complete yet.');
      }),
    );

/** Counted costs have columns of their own. */
const counted = new Set(['macs', 'parameters']);

function columns(front: readonly FrontRowView[]): Column<FrontRowView>[] {
  const metrics = [...new Set(front.flatMap(({ values }) => Object.keys(values)))]
    .filter((name) => !counted.has(name))
    .sort();
  const devices = [...new Set(front.flatMap(({ latencyCiUs }) => Object.keys(latencyCiUs)))];
  return [
    { title: 'TRIAL', align: 'right', value: (row) => String(row.trialNumber) },
    { title: 'ARCHITECTURE', value: (row) => row.architectureId.slice(0, 12) },
    ...metrics.map(
      (metric): Column<FrontRowView> => ({
        title: metric.toUpperCase(),
        align: 'right',
        value: ({ values }) => formatMetric(metric, values[metric]),
      }),
    ),
    ...devices.map(
      (device): Column<FrontRowView> => ({
        title: devices.length === 1 ? 'LATENCY 95 %' : `LATENCY 95 % ${device}`,
        align: 'right',
        value: ({ latencyCiUs: { [device]: interval } }) => (interval ? formatInterval(interval) : '-'),
      }),
    ),
    { title: 'MACS', align: 'right', value: (row) => formatCount(row.macs) },
    { title: 'PARAMETERS', align: 'right', value: (row) => formatCount(row.parameters) },
    { title: 'PROVENANCE', value: (row) => row.provenance },
  ];
}
