import type { CostMetric } from '../../core/measurement.js';
import { costMetrics, costsOf, type Measurement } from '../../core/measurement.js';
import type { BenchmarkCaseRecord } from '../../store/benchmark-contract.js';
import type { MeasurementRecord } from '../../store/contract.js';

/** One network on one place of a run: what was measured, and what gave no valid measurement. */
export interface Series {
  readonly network: string;
  readonly place: string;
  /** Valid ones, by repetition. */
  readonly taken: ReadonlyMap<number, MeasurementRecord>;
  readonly cases: readonly BenchmarkCaseRecord[];
}

interface Growing extends Series {
  readonly taken: Map<number, MeasurementRecord>;
  readonly cases: BenchmarkCaseRecord[];
}

/** In the order of the cases. */
export function seriesOf(
  cases: readonly BenchmarkCaseRecord[],
  measurements: ReadonlyMap<string, MeasurementRecord>,
): Series[] {
  const all = new Map<string, Growing>();
  for (const one of cases) {
    const { network, place, repetition, measurementId, state } = one;
    const key = seriesKey(one);
    const known: Growing = all.get(key) ?? { network, place, taken: new Map(), cases: [] };
    all.set(key, known);
    known.cases.push(one);
    const measurement = state === 'done' && measurementId !== null && measurements.get(measurementId);
    if (measurement) known.taken.set(repetition, measurement);
  }
  return [...all.values()];
}

export const seriesKey = ({ network, place }: { readonly network: string; readonly place: string }): string =>
  JSON.stringify([network, place]);

/** The metrics that every valid measurement of a series has. */
export const metricsOf = ({ taken }: Pick<Series, 'taken'>): CostMetric[] =>
  taken.size === 0
    ? []
    : costMetrics.filter((metric) =>
        [...taken.values()].every((one) => costsOf(one as Measurement)[metric] !== undefined),
      );
