import type { RunReport } from '../../../firmware-bridge/link/index.js';
import type { Latency, Round } from '../../core/measurement.js';
import { Xoshiro128 } from '../../core/rng.js';
import { type Calibration, calibratedUs, type ReferenceName } from '../../measure/calibration.js';
import { summarise } from '../../measure/statistics.js';

export interface TimesOptions {
  readonly ticksHz: number;
  readonly calibration: Calibration;
  readonly reference: ReferenceName;
}

/**
 * Latency from the cycle counter of a real board: cycles over its clock. Nothing else runs there, so one reference run
 * at calibration serves for all rounds. Never called for an emulated board.
 */
export function timesOf(
  runs: readonly RunReport[],
  { ticksHz, calibration, reference }: TimesOptions,
): { latency: Latency; rounds: Round[] } {
  const referenceUs = calibratedUs(calibration, reference);
  const us = runs.map(({ ticks }) => (ticks * 1e6) / ticksHz);
  const rng = Xoshiro128.fromSeed(1);
  const rawUs = summarise(us, rng);
  const ratio = summarise(
    us.map((value) => value / referenceUs),
    rng,
  );
  return {
    latency: {
      rawUs,
      ratio,
      normalisedUs: rawUs.median,
      normalisedCiUs: [rawUs.ciLow, rawUs.ciHigh],
      reference,
      loadUs: us[0] ?? 0,
      firstRunUs: us[0] ?? 0,
    },
    rounds: us.map((candidateUs) => ({
      referenceBeforeUs: referenceUs,
      candidateUs,
      referenceAfterUs: referenceUs,
      kept: true,
    })),
  };
}
