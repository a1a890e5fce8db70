import { HildaError } from '../core/errors.js';

/** Throws SAMPLES_INVALID naming the first rows whose cost is no positive, finite number. */
export function rejectBadSamples(values: readonly number[]): void {
  const bad = values.flatMap((value, row) => (value > 0 && Number.isFinite(value) ? [] : [{ row, value }]));
  if (bad.length === 0) return;
  const shown = bad.slice(0, 3).map(({ row, value }) => `${value} in row ${row}`);
  throw new HildaError(
    'SAMPLES_INVALID',
    `${bad.length} of ${values.length} costs are not positive, finite numbers: ${shown.join(', ')}`,
    { details: { rows: bad.map(({ row }) => row) } },
  );
}
