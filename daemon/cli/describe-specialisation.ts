import { metricTitle } from '../core/metric-title.js';
import { formatLatency, formatMetric, formatShareInterval } from '../core/quantities.js';
import type { MatrixCell, Specialisation } from '../study/specialisation/shapes.js';
import { type Layout, plainLayout, toneOfState } from './terminal/layout.js';
import { type Column, formatTable } from './terminal/table.js';

/** The matrix and what it is: no two columns share a unit unless their heads say the same. */
export function describeSpecialisation(one: Specialisation, layout: Layout = plainLayout): string {
  const { id, state, reason, level, slack, finalists, distinctFinalists, rows, columns } = one;
  const head = `${id} is ${state}${reason ? `: ${reason}` : ''}`;
  if (level === null)
    return `${head}\n${columns.map((c) => `  ${c.deviceId}: ${c.search ?? 'not started'}`).join('\n')}`;
  const equal = `Equal accuracy: at least ${formatMetric('accuracy', level)} as the device runs it (the least of the searches' best, less ${formatMetric('accuracy', slack)}).`;
  const share = `${distinctFinalists} finalists, at most ${finalists} of each search, are measured on every device; each device's winner is the fastest of them there.`;
  return [head, equal, share, '', formatTable(tableColumns(one), rows, layout)].join('\n');
}

type Row = Specialisation['rows'][number];

function tableColumns({ columns, rows }: Specialisation): Column<Row>[] {
  return [
    { title: 'WINNER FOR', value: ({ deviceId }) => deviceId },
    { title: 'FOUND FOR', value: ({ foundFor }) => foundFor },
    { title: 'TRIAL', value: ({ study, trialNumber }) => `${study}/${trialNumber}` },
    ...columns.map(({ deviceId, speed }): Column<Row> => {
      const provenances = rows.flatMap(({ cells }) => cells[deviceId]?.provenance ?? []);
      const unit = metricTitle(
        speed,
        provenances.map((provenance) => ({ values: {}, provenance })),
      );
      return {
        title: `${unit.toUpperCase()} ON ${deviceId}`,
        align: 'right',
        value: ({ cells }) => formatCell(cells[deviceId], speed),
      };
    }),
    { title: 'ON ITS OWN DEVICE', value: ({ standing }) => standing, tone: toneOfState },
  ];
}

function formatCell(cell: MatrixCell | undefined, speed: string): string {
  if (!cell || cell.value === null) return cell?.reason?.split(':')[0] ?? 'not measured yet';
  const { value, ci, accuracy, accuracyCi, reason } = cell;
  const shown = speed === 'latencyUs' ? formatLatency(value) : `${(value / 1e6).toPrecision(4)} M`;
  const spread = ci ? ` ±${((50 * (ci[1] - ci[0])) / value).toFixed(1)} %` : '';
  const within = accuracyCi ? ` (${formatShareInterval(accuracyCi)})` : '';
  const quality = accuracy === null ? '' : `, ${formatMetric('accuracy', accuracy, accuracyCi)}${within}`;
  return `${shown}${spread}${quality}${reason === null ? '' : ' (beyond a limit)'}`;
}
