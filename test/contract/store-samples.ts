import { HildaError } from '../../daemon/core/errors.js';
import type { DeviceId, MeasurementId } from '../../daemon/core/ids.js';
import type { Measurement, Summary } from '../../daemon/core/measurement.js';
import type { Target } from '../../daemon/core/target.js';
import type { NewAlert } from '../../daemon/store/alert-contract.js';

export const target: Target = {
  model: 'Fake 1',
  clockHz: null,
  runtime: 'fake',
  runtimeVersion: '1',
  provider: 'cpu',
  threads: 1,
  dtype: 'float32',
  tier: 'host',
};

const summary: Summary = { n: 2, min: 1, median: 2, p90: 3, mad: 0.5, ciLow: 1.5, ciHigh: 2.5 };

export const measurement: Measurement = {
  target,
  provenance: 'measured',
  protocol: 'quick',
  structureHash: 'a'.repeat(64),
  weightsHash: 'b'.repeat(64),
  latency: {
    rawUs: summary,
    ratio: summary,
    normalisedUs: 20.125,
    normalisedCiUs: [19, 21],
    reference: 'convolution',
    loadUs: 1,
    firstRunUs: 2,
  },
  counts: null,
  memory: { weightBytes: 10, activationPeakBytes: 20, peakBytes: 30, runPeakRssBytes: null },
  verdict: 'valid',
  reason: 'tight enough',
  manifest: { cpu: 'x', load: [0.1, 0.2] },
  rounds: Array.from({ length: 11 }, (_, i) => ({
    referenceBeforeUs: i + 0.1,
    candidateUs: i / 3,
    referenceAfterUs: i,
    kept: i % 3 !== 0,
  })),
  takenAtMs: 1234,
  durationMs: 5.5,
};

/** The code of what a promise throws; undefined when it resolves. */
export async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise;
    return undefined;
  } catch (thrown) {
    return thrown instanceof HildaError ? thrown.code : String(thrown);
  }
}

export const deviceId = 'fake-1' as DeviceId;

/** Some network grew slower from measurement m8 on. */
export const alert: NewAlert = {
  series: `${deviceId} x`,
  deviceId,
  structureHash: 'a'.repeat(64),
  metric: 'latencyUs',
  since: 'm8' as MeasurementId,
  sinceMs: 800,
  between: ['m7' as MeasurementId, 'm9' as MeasurementId],
  foundAt: 'm12' as MeasurementId,
  ratio: 1.04,
  ratioCi: [1.03, 1.05],
  cause: 'series',
  differences: [{ path: 'kernel', before: '6.1', since: '6.2' }],
};
