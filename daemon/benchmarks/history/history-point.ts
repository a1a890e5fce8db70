import { type CostMetric, costsOf, type Measurement } from '../../core/measurement.js';
import type { SeriesPoint } from '../../predict/changes/contract.js';

/**
 * A measurement as a point of its series. A latency has its interval, as a standard error, and the level of the reference networks
 * beside it. Undefined where the measurement lacks the metric, is not valid, or has no value above 0.
 */
export function historyPoint(
  measurement: Pick<Measurement, 'latency' | 'counts' | 'memory' | 'verdict'>,
  metric: CostMetric,
): SeriesPoint | undefined {
  const value = costsOf(measurement as Measurement)[metric];
  if (measurement.verdict !== 'valid' || value === undefined || !(value > 0)) return undefined;
  const { latency, counts } = measurement;
  if (metric === 'latencyUs' && latency) {
    const reference = latency.rawUs.median / latency.ratio.median;
    return {
      value,
      ...errorOf(latency.normalisedCiUs),
      ...(latency.reference !== 'none' && reference > 0 && Number.isFinite(reference) && { reference }),
    };
  }
  return { value, ...(metric === counts?.unit && counts.totalCi && errorOf(counts.totalCi)) };
}

/** The standard error, as a share, of a value with this 95 % interval. */
function errorOf([low, high]: readonly [number, number]): { standardError?: number } {
  const standardError = Math.log(high / low) / 2 / 1.96;
  return standardError >= 0 && Number.isFinite(standardError) ? { standardError } : {};
}
