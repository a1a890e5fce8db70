import { HildaError } from '../../core/errors.js';
import type { DeviceId, StudyId } from '../../core/ids.js';
import type { MeasurementRecord, TrialRecord } from '../../store/contract.js';
import type { FrontRow } from '../front.js';
import { winner } from '../winner.js';
import type { MatrixCell, MatrixRow, SpeedMetric } from './shapes.js';

export interface ChosenWinner {
  readonly deviceId: DeviceId;
  readonly study: StudyId;
  readonly row: FrontRow;
}

/**
 * The winners of several searches at equal accuracy: each is the fastest member of its own front among those within
 * `slack` (a share of 1) of the least of the fronts' best accuracies. Throws SPACE_INFEASIBLE.
 */
export function chooseWinners(
  fronts: readonly {
    readonly deviceId: DeviceId;
    readonly study: StudyId;
    readonly speed: SpeedMetric;
    readonly front: readonly FrontRow[];
  }[],
  slack: number,
): { readonly level: number; readonly winners: readonly ChosenWinner[] } {
  const bests = fronts.map(({ study, front }) => {
    const best = Math.max(...front.map(({ values }) => values.accuracy ?? Number.NEGATIVE_INFINITY));
    if (Number.isFinite(best)) return best;
    throw new HildaError('SPACE_INFEASIBLE', `the front of ${study} is empty`);
  });
  const level = Math.min(...bests) - slack;
  return {
    level,
    winners: fronts.map(({ deviceId, study, speed, front }) => {
      const limit = { metric: 'accuracy', relation: '>=', bound: level } as const;
      // A front with an accuracy has a member that is accurate enough.
      return { deviceId, study, row: winner(front, [limit], { metric: speed, goal: 'min' }) as FrontRow };
    }),
  };
}

/** A trial of the study that measures the winners on one device, as a cell. */
export function cellOf(
  trial: TrialRecord | undefined,
  measurement: MeasurementRecord | undefined,
  speed: SpeedMetric,
): MatrixCell {
  const isValid = measurement?.verdict === 'valid';
  return {
    value: (isValid && trial?.values[speed]) || null,
    ci: isValid && speed === 'latencyUs' && measurement.latency ? measurement.latency.normalisedCiUs : null,
    accuracy: trial?.values.accuracy ?? null,
    provenance: measurement?.provenance ?? null,
    measurementId: measurement?.id ?? null,
    reason: !trial || trial.state === 'asked' ? 'not measured yet' : trial.reason,
  };
}

/**
 * How row `own` stands on its own device (see `Standing`), and where it is beaten, whose winner is to be taken in its place:
 * of those that beat it the fastest, which no winner beats there. `level`: the least accuracy that counts.
 */
export function standingOf(
  own: Pick<MatrixRow, 'deviceId' | 'cells'>,
  rows: readonly Pick<MatrixRow, 'deviceId' | 'cells'>[],
  level: number,
): Pick<MatrixRow, 'standing' | 'replacedBy'> {
  const mine = own.cells[own.deviceId];
  if (!mine || mine.value === null || mine.reason !== null) return { standing: 'unknown', replacedBy: null };
  const value = mine.value;
  const faster = rows.flatMap(({ deviceId, cells }) => {
    const cell = cells[own.deviceId];
    const counts = cell && cell.reason === null && (cell.accuracy ?? 0) >= level;
    return counts && cell.value !== null && cell.value < value ? [{ deviceId, cell, value: cell.value }] : [];
  });
  if (faster.length === 0) return { standing: 'fastest', replacedBy: null };
  const apart = faster.filter(({ cell }) => !cell.ci || !mine.ci || cell.ci[1] < mine.ci[0]);
  if (apart.length === 0) return { standing: 'not apart', replacedBy: null };
  const [better] = apart
    .filter(({ cell }) => (cell.accuracy ?? 0) >= (mine.accuracy ?? 0))
    .sort((a, b) => a.value - b.value);
  return better
    ? { standing: 'beaten', replacedBy: better.deviceId }
    : { standing: 'on the front', replacedBy: null };
}
