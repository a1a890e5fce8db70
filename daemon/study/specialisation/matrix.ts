import type { DeviceId } from '../../core/ids.js';
import { differenceInterval, isApart } from '../../core/intervals.js';
import { costIntervals } from '../../core/measurement.js';
import type { MeasurementRecord, TrialRecord } from '../../store/contract.js';
import { type Finalist, type Finalists, findFor } from './finalists.js';
import type { MatrixCell, MatrixRow, SpeedMetric, Standing } from './shapes.js';

/** The finals on one device. */
export interface Finals {
  readonly deviceId: DeviceId;
  readonly haveEnded: boolean;
  /** One a finalist, in their order. */
  readonly cells: readonly MatrixCell[];
}

/**
 * A row for each device: the winner of its finals, and until they have ended, or where no finalist counts there, the fastest that
 * its own search sent.
 */
export function matrixRows({ level, finalists, ownBest }: Finalists, finals: readonly Finals[]): MatrixRow[] {
  return finals.map(({ deviceId, haveEnded, cells }) => {
    const won = haveEnded ? winnerAmong(cells, level) : undefined;
    const winner = won ? (finalists[won.index] as Finalist) : (ownBest.get(deviceId) as Finalist);
    const place = finalists.indexOf(winner);
    const { deviceId: foundFor, study, row } = findFor(winner, deviceId);
    return {
      deviceId,
      foundFor,
      study,
      trialNumber: row.trialNumber,
      architectureId: row.architectureId,
      accuracy: row.values.accuracy as number,
      accuracyCi: row.evidence.accuracy?.ci ?? null,
      cells: Object.fromEntries(
        finals.map((one) => [one.deviceId, one.cells[place] as MatrixCell]),
      ) as MatrixRow['cells'],
      standing: won?.standing ?? (haveEnded ? 'unknown' : 'provisional'),
    };
  });
}

/**
 * Which of the finalists is the fastest on a device, by what was measured there, among those that count: a valid measurement, no
 * limit broken, and an accuracy as the device runs it from `level` on. Of equally fast ones the most accurate. Undefined
 * where none counts.
 */
export function winnerAmong(
  cells: readonly MatrixCell[],
  level: number,
): { readonly index: number; readonly standing: Extract<Standing, 'fastest' | 'not apart'> } | undefined {
  const counting = cells.flatMap(({ value, ci, accuracy, reason }, index) =>
    value !== null && accuracy !== null && reason === null && accuracy >= level
      ? [{ index, value, accuracy, ci: ci ?? ([value, value] as const) }]
      : [],
  );
  const [first, ...others] = counting.sort((a, b) => a.value - b.value || b.accuracy - a.accuracy);
  if (!first) return undefined;
  const isFastest = others.every((other) => isApart(differenceInterval(other, first)));
  return { index: first.index, standing: isFastest ? 'fastest' : 'not apart' };
}

/** A trial of the finals on one device, as a cell. */
export function cellOf(
  trial: TrialRecord | undefined,
  measurement: MeasurementRecord | undefined,
  speed: SpeedMetric,
): MatrixCell {
  const isValid = measurement?.verdict === 'valid';
  return {
    value: (isValid && trial?.values[speed]) || null,
    ci: (isValid && costIntervals(measurement)[speed]) || null,
    accuracy: trial?.values.accuracy ?? null,
    accuracyCi: trial?.evidence.accuracy?.ci ?? null,
    provenance: measurement?.provenance ?? null,
    measurementId: measurement?.id ?? null,
    reason: !trial || trial.state === 'asked' ? 'not measured yet' : trial.reason,
  };
}
