import { MatrixEntry } from './matrix-entry.js';
import { formatAccuracy, unitOf } from './matrix-words.js';
import type { Specialisation } from './wire.js';

/** Winners by devices, where there is room for both. */
export function MatrixTable({ of }: { readonly of: Specialisation }) {
  const { columns, rows } = of;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must scroll by keyboard, in every browser
    <section class="scroll" aria-label="Winners by devices" tabIndex={0}>
      <table class="matrix" data-testid="matrix">
        <caption>
          Row: the winner for a device. Column: where it was measured, beside the winner for that device.
          Columns hold different units and do not compare.
        </caption>
        <thead>
          <tr>
            <th scope="col">Winner for</th>
            {columns.map((column) => (
              <th key={column.deviceId} scope="col">
                {column.deviceId}
                <br />
                <span class="faint">{unitOf(column, of)}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.deviceId}>
              <th scope="row">
                {row.deviceId}
                <p>accuracy {formatAccuracy(row.accuracy, row.accuracyCi)}</p>
                <p>
                  <a href={`#/studies/${encodeURIComponent(row.study)}`}>
                    {row.study}, trial {row.trialNumber}
                  </a>
                  {row.foundFor !== row.deviceId && `, found for ${row.foundFor}`}
                </p>
              </th>
              {columns.map((column) => (
                <td key={column.deviceId} class={column.deviceId === row.deviceId ? 'own' : ''}>
                  <MatrixEntry row={row} column={column} of={of} />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
