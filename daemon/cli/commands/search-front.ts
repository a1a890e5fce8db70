import { Command } from 'commander';
import type { FrontRowView } from '../../api/schemas.js';
import { metricTitle } from '../../core/metric-title.js';
import { formatCount, formatInterval, formatMetric } from '../../core/quantities.js';
import { act, type Terminal } from '../context.js';
import { type Column, formatTable } from '../table.js';

export const searchFrontCommand = (terminal: Terminal): Command =>
  new Command('front')
    .description('the Pareto front, one a device where the study has several: every point of it was measured')
    .argument('<study>', 'its id')
    .action(
      act(terminal, async (context, study: string) => {
        const { front, devices } = await context.client.fronts(study, context);
        context.answer('front', { study, front, devices }, () => {
          if (front.length === 0) return 'No trial is complete yet.';
          if (devices.length === 0) return formatTable(columns(front), front);
          return devices
            .map(({ deviceId, objectives, front: rows }) => {
              const title = `${deviceId}: ${objectives.map(({ metric, goal }) => `${goal} ${metric}`).join(', ')}`;
              return `${title}\n${formatTable(columns(rows, deviceId), rows)}`;
            })
            .join('\n\n');
        });
      }),
    );

/** Counted costs have columns of their own. */
const counted = new Set(['macs', 'parameters']);

function columns(front: readonly FrontRowView[], device?: string): Column<FrontRowView>[] {
  const metrics = [...new Set(front.flatMap(({ values }) => Object.keys(values)))]
    .filter((name) => !counted.has(name))
    .sort();
  const devices = [...new Set(front.flatMap(({ latencyCiUs }) => Object.keys(latencyCiUs)))];
  return [
    { title: 'TRIAL', align: 'right', value: (row) => String(row.trialNumber) },
    { title: 'ARCHITECTURE', value: (row) => row.architectureId.slice(0, 12) },
    ...metrics.map(
      (metric): Column<FrontRowView> => ({
        title: metricTitle(metric, front, device).toUpperCase(),
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
