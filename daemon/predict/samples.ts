import { HildaError } from '../core/errors.js';
import type { Views } from './contract.js';
import { medianOf } from './statistics.js';

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

/** Equal for networks that no view tells apart. */
export const networkKey = (views: Views): string =>
  JSON.stringify(Object.values(views).map((features) => [...features]));

/**
 * One sample a network: repeated measurements of one become their median. Otherwise a network that was left out to be asked
 * about would still be among those learnt, and every error would look smaller than it is.
 */
export function oncePerNetwork(
  samples: readonly Views[],
  values: readonly number[],
): { readonly samples: readonly Views[]; readonly values: readonly number[] } {
  const groups = new Map<string, { readonly views: Views; readonly values: number[] }>();
  samples.forEach((views, i) => {
    const key = networkKey(views);
    const group = groups.get(key);
    if (group) group.values.push(values[i] as number);
    else groups.set(key, { views, values: [values[i] as number] });
  });
  if (groups.size === samples.length) return { samples, values };
  const distinct = [...groups.values()];
  return {
    samples: distinct.map(({ views }) => views),
    values: distinct.map((group) => medianOf(group.values)),
  };
}
