import { comparison, formatAccuracy, formatSpeed, standingText } from './matrix-words.js';
import type { MatrixColumn, MatrixRow, Specialisation } from './wire.js';

/** What one winner costs on one device, with where the number is from; on its own device, how it stands. */
export function MatrixEntry({
  row,
  column: { deviceId, speed },
  of: { rows },
}: {
  readonly row: MatrixRow;
  readonly column: MatrixColumn;
  readonly of: Specialisation;
}) {
  const cell = row.cells[deviceId];
  const isOwn = row.deviceId === deviceId;
  if (!cell || cell.value === null) return <p class="faint">{cell?.reason ?? 'not measured yet'}</p>;
  const own = rows.find((one) => one.deviceId === deviceId);
  const beside = isOwn
    ? undefined
    : own?.architectureId === row.architectureId
      ? 'the same network'
      : comparison(speed, cell, own?.cells[deviceId]);
  const most = Math.max(...rows.map(({ cells }) => cells[deviceId]?.value ?? 0));
  return (
    <>
      <p>
        <strong>{formatSpeed(speed, cell.value)}</strong>{' '}
        {isOwn && (
          <span class={`chip ${row.standing.replaceAll(' ', '-')}`} data-testid="standing">
            {standingText[row.standing]}
          </span>
        )}
        {beside && <span>{beside}</span>}
      </p>
      <div class="bar" aria-hidden="true">
        <div style={{ width: `${(100 * cell.value) / most}%` }} />
      </div>
      {cell.reason !== null && <p class="failure">Does not count: {cell.reason}</p>}
      <p class="faint phrases">
        {cell.ci && <span>95 %: {cell.ci.map((end) => formatSpeed(speed, end)).join(' to ')}, </span>}
        {cell.accuracy !== null && <span>accuracy {formatAccuracy(cell.accuracy, cell.accuracyCi)}, </span>}
        <span>{cell.provenance}</span>
      </p>
    </>
  );
}
