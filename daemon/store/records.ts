import type { DeviceId, MeasurementId, StudyId } from '../core/ids.js';
import type { Measurement } from '../core/measurement.js';

/** Records that jobs and the rest of the store share. */

export interface MeasurementRecord extends Measurement {
  readonly id: MeasurementId;
  readonly deviceId: DeviceId;
  readonly studyId: StudyId | null;
  readonly trialNumber: number | null;
}

/** Which trial a measurement is of. `late`: the trial is complete, and its device was away. */
export interface TrialOfMeasurement {
  readonly studyId: StudyId;
  readonly number: number;
  readonly late?: boolean;
}

/** One job's exclusive hold on a device. The token grows with every lease of that device and fences late writers. */
export interface Lease {
  readonly deviceId: DeviceId;
  readonly holder: string;
  readonly token: number;
  readonly expiresMs: number;
}
