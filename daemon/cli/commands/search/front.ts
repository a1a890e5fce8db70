import { Command } from 'commander';
import type { FrontRowView } from '../../../api/schemas.js';
import { evaluatedText, notApartText, sourceLines } from '../../../core/comparison-words.js';
import { metricTitle } from '../../../core/metric-title.js';
import { formatCount, formatInterval } from '../../../core/quantities.js';
import { act, type Terminal } from '../../context.js';
import { resolveId } from '../../resolve-id.js';
import type { Layout } from '../../terminal/layout.js';
import { type Column, formatTable } from '../../terminal/table.js';

export const searchFrontCommand = (terminal: Terminal): Command =>
  new Command('front')
    .description('the Pareto front, one a device where the study has several: every point of it was measured')
    .argument('<study>', 'its id')
    .action(
      act(terminal, async (context, word: string) => {
        const study = await resolveId('study', word, context);
        const { front, devices } = await context.client.fronts(study, context);
        context.answer('front', { study, front, devices }, () => {
          if (front.length === 0) return 'No trial is complete yet.';
          if (devices.length === 0) return describeFront(front, terminal);
          return devices
            .map(({ deviceId, objectives, front: rows }) => {
              const title = `${deviceId}: ${objectives.map(({ metric, goal }) => `${goal} ${metric}`).join(', ')}`;
              return `${title}\n${describeFront(rows, terminal, deviceId)}`;
            })
            .join('\n\n');
        });
      }),
    );

function describeFront(rows: readonly FrontRowView[], layout: Layout, device?: string): string {
  const marked = rows.some(({ beside }) => beside.some(({ apart }) => !apart));
  return [
    formatTable(columns(rows, device), rows, layout),
    ...sourceLines(rows, device),
    ...(marked
      ? ['NOT APART: the 95 % interval of the difference from that neighbour holds 0 in this metric.']
      : []),
  ].join('\n');
}

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
    { title: 'NOT APART FROM', value: ({ beside }) => notApartText(beside, front, device) || '-' },
    ...metrics.map(
      (metric): Column<FrontRowView> => ({
        title: metricTitle(metric, front, device).toUpperCase(),
        align: 'right',
        value: ({ values, evidence }) => evaluatedText(metric, values, evidence),
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
