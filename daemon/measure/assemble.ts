import type { Json } from '../core/json.js';
import type { Measurement, Provenance } from '../core/measurement.js';
import type { Target } from '../core/target.js';
import { type Calibration, calibratedUs, type ReferenceName } from './calibration.js';
import type { LatencyRun } from './measure-latency.js';
import { mixed } from './mixture.js';
import type { NetworkFacts } from './network-facts.js';
import type { Protocol } from './protocol.js';
import { type Judgement, judge } from './verdict.js';

export interface Taken {
  readonly facts: NetworkFacts;
  readonly target: Target;
  readonly provenance: Provenance;
  readonly protocol: Protocol;
  readonly run: LatencyRun;
  readonly reference: ReferenceName;
  readonly calibration: Calibration;
  /** Both null where nothing tells. */
  readonly loadUs: number | null;
  readonly firstRunUs: number | null;
  /** Null where neither the runtime nor the graph tells. */
  readonly activationPeakBytes: number | null;
  readonly runPeakRssBytes: number | null;
  readonly manifest: { readonly [key: string]: Json };
  /** What the device itself saw go wrong, e.g. a hidden page; it goes before every rule. */
  readonly voided?: Judgement | null;
  readonly takenAtMs: number;
  readonly durationMs: number;
}

/**
 * Grows when the rule by which legs are timed changes (`measure-latency.ts`): values of two rules may differ by percents, and
 * are never mixed. 2: a candidate's runs count once its data is back in the caches.
 */
const timingRule = 2;

/** Whether a measurement was timed by the present rule. Those that no round timed, such as counts, always were. */
export const isTimedAlike = ({ manifest }: Pick<Measurement, 'manifest'>): boolean =>
  manifest.stoppedBy === undefined || manifest.timingRule === timingRule;

/** Puts what a device took together into a measurement, judged: the same for every kind of device. */
export function assembleMeasurement(taken: Taken): Measurement {
  const { facts, protocol, run, calibration, reference, activationPeakBytes } = taken;
  const { ratio, rawUs, referenceUs, warmUp, rounds, weight } = run;
  const unitUs =
    weight === null
      ? calibratedUs(calibration, reference)
      : mixed(calibration.convolutionUs, calibration.transformerUs, weight);
  return {
    target: taken.target,
    provenance: taken.provenance,
    protocol: protocol.name,
    structureHash: facts.structureHash,
    weightsHash: facts.weightsHash,
    latency: {
      rawUs,
      ratio,
      normalisedUs: ratio.median * unitUs,
      normalisedCiUs: [ratio.ciLow * unitUs, ratio.ciHigh * unitUs],
      spread: null,
      reference,
      convolutionWeight: weight,
      loadUs: taken.loadUs,
      firstRunUs: taken.firstRunUs,
    },
    counts: null,
    memory: {
      weightBytes: facts.weightBytes,
      activationPeakBytes,
      peakBytes: activationPeakBytes === null ? null : facts.weightBytes + activationPeakBytes,
      runPeakRssBytes: taken.runPeakRssBytes,
    },
    ...(taken.voided ?? judge({ run, protocol, macs: facts.macs, calibratedUs: unitUs })),
    manifest: {
      ...taken.manifest,
      calibration: { ...calibration },
      referenceMedianUs: referenceUs.median,
      warmupMs: warmUp.durationMs,
      warmupSettled: warmUp.settled,
      stoppedBy: run.stoppedBy,
      timingRule,
    },
    rounds,
    takenAtMs: taken.takenAtMs,
    durationMs: taken.durationMs,
  };
}
