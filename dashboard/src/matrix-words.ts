import { differenceInterval, isApart } from '../../daemon/core/intervals.js';
import { metricTitle } from '../../daemon/core/metric-title.js';
import {
  formatCount,
  formatLatency,
  formatMetric,
  formatShareInterval,
} from '../../daemon/core/quantities.js';
import type { MatrixCell, MatrixColumn, Specialisation } from './wire.js';

/** What a column holds. A count never reads as a time: nothing here turns cycles into seconds. */
export function unitOf({ deviceId, speed }: MatrixColumn, { rows }: Specialisation): string {
  const provenances = rows.flatMap(({ cells }) => cells[deviceId]?.provenance ?? []);
  return metricTitle(
    speed,
    provenances.map((provenance) => ({ values: {}, provenance })),
  );
}

export const formatSpeed = (speed: MatrixColumn['speed'], value: number): string =>
  speed === 'latencyUs' ? formatLatency(value) : formatCount(value);

/**
 * A cell beside the one of the winner for this device: how much more it costs, or that the 95 % interval of their
 * difference holds 0. Undefined where either does not count.
 */
export function comparison(
  speed: MatrixColumn['speed'],
  cell: MatrixCell,
  own: MatrixCell | undefined,
): string | undefined {
  if (!own || cell.value === null || own.value === null || cell.reason !== null || own.reason !== null)
    return undefined;
  if (cell.ci && own.ci) {
    const [a, b] = [
      { value: cell.value, ci: cell.ci },
      { value: own.value, ci: own.ci },
    ];
    if (!isApart(differenceInterval(a, b))) return 'not apart';
  }
  const share = cell.value / own.value - 1;
  if (share === 0) return 'the same';
  const [more, less] = speed === 'latencyUs' ? ['slower', 'faster'] : ['more', 'fewer'];
  return `${(100 * Math.abs(share)).toFixed(1)} % ${share > 0 ? more : less}`;
}

/** An accuracy with as many digits as its interval allows. */
export const formatAccuracy = (accuracy: number, ci: MatrixCell['accuracyCi']): string =>
  formatMetric('accuracy', accuracy, ci) + (ci ? ` (${formatShareInterval(ci)})` : '');

export const standingText = {
  fastest: 'fastest',
  'not apart': 'not apart from another',
  provisional: 'so far',
  unknown: 'not known',
} as const;
