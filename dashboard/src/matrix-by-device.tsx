import { MatrixEntry } from './matrix-entry.js';
import { formatAccuracy, unitOf } from './matrix-words.js';
import type { MatrixColumn, MatrixRow, Specialisation } from './wire.js';

/** The matrix column by column, for a phone: within a column numbers compare, across columns they do not. */
export function MatrixByDevice({ of }: { readonly of: Specialisation }) {
  return (
    <div class="by-device" data-testid="matrix">
      {of.columns.map((column) => (
        <section key={column.deviceId} aria-label={`Winners on ${column.deviceId}`}>
          <h3>
            {column.deviceId} <span class="faint">{unitOf(column, of)}</span>
          </h3>
          <ul class="cards">
            {of.rows.map((row) => (
              <Winner key={row.deviceId} row={row} column={column} of={of} />
            ))}
          </ul>
        </section>
      ))}
    </div>
  );
}

function Winner(entry: {
  readonly row: MatrixRow;
  readonly column: MatrixColumn;
  readonly of: Specialisation;
}) {
  const { deviceId, foundFor, study, trialNumber, accuracy, accuracyCi } = entry.row;
  const search = `#/studies/${encodeURIComponent(study)}`;
  if (deviceId !== entry.column.deviceId)
    return (
      <li>
        Winner for <a href={search}>{deviceId}</a>
        <MatrixEntry {...entry} />
      </li>
    );
  return (
    <li class="own">
      Winner for this device
      <MatrixEntry {...entry} />
      <p class="faint">
        <a href={search}>
          {study}, trial {trialNumber}
        </a>
        {foundFor !== deviceId && `, found for ${foundFor}`}, accuracy {formatAccuracy(accuracy, accuracyCi)}{' '}
        when searched
      </p>
    </li>
  );
}
