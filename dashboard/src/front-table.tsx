import { evaluatedText, notApartText, sourceLines } from '../../daemon/core/comparison-words.js';
import { metricTitle } from '../../daemon/core/metric-title.js';
import { formatCount, formatInterval } from '../../daemon/core/quantities.js';
import type { FrontRow } from './wire.js';

const counted = new Set(['macs', 'parameters']);

/** The chart's twin: the same points, readable without seeing it. */
export function FrontTable({
  rows,
  device,
}: {
  readonly rows: readonly FrontRow[];
  readonly device?: string | undefined;
}) {
  if (rows.length === 0) return <p>No trial is complete yet.</p>;
  const metrics = [...new Set(rows.flatMap(({ values }) => Object.keys(values)))]
    .filter((name) => !counted.has(name))
    .sort();
  const isTimed = rows.some(({ latencyCiUs }) => Object.keys(latencyCiUs).length > 0);
  const emulated = rows.every(({ provenance }) => provenance === 'emulated');
  return (
    <div class="scroll">
      <table data-testid="front">
        <caption>
          {emulated
            ? 'The points of the front. Every cost was counted on an emulated board: no time of a real one.'
            : 'The points of the front. Every cost was measured.'}
        </caption>
        <thead>
          <tr>
            <th class="number">Trial</th>
            <th>Architecture</th>
            <th>Not apart from</th>
            {metrics.map((metric) => (
              <th key={metric} class="number">
                {metricTitle(metric, rows, device)}
              </th>
            ))}
            {isTimed && <th class="number">Latency 95 %</th>}
            <th class="number">MACs</th>
            <th class="number">Parameters</th>
            <th>Provenance</th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.trialNumber}>
              <td class="number">{row.trialNumber}</td>
              <td>
                <code>{row.architectureId.slice(0, 10)}</code>
              </td>
              <td>{notApartText(row.beside, rows, device) || '–'}</td>
              {metrics.map((metric) => (
                <td key={metric} class="number">
                  {evaluatedText(metric, row.values, row.evidence)}
                </td>
              ))}
              {isTimed && (
                <td class="number">{Object.values(row.latencyCiUs).map(formatInterval).join('; ')}</td>
              )}
              <td class="number">{formatCount(row.macs)}</td>
              <td class="number">{formatCount(row.parameters)}</td>
              <td>{row.provenance}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <ul class="faint notes" data-testid="front-notes">
        {sourceLines(rows, device).map((line) => (
          <li key={line}>{line}</li>
        ))}
        <li>
          Intervals are 95 %. Not apart: the interval of the difference from that neighbour holds 0 in this
          metric.
        </li>
      </ul>
    </div>
  );
}
