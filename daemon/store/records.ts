import type { DeviceId, MeasurementId, PredictorId, StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Measurement } from '../core/measurement.js';
import type { Target } from '../core/target.js';

/** Records that jobs and the rest of the store share. */

/** Why a device is not trusted, beside the reason that people read. */
export interface Quarantine {
  /** `hand`: a person said so. The others are rules: health checks that pass take the device back. */
  readonly by: 'hand' | 'failures' | 'reference' | 'results';
  /** Null where an earlier version did it. */
  readonly sinceMs: number | null;
  /** Health checks that it passed in a row since. */
  readonly passed: number;
}

export interface DeviceRecord {
  readonly id: DeviceId;
  readonly kind: string;
  readonly label: string;
  readonly target: Target;
  /** As `Sighting.host`. */
  readonly host: string | null;
  readonly state: 'sighted' | 'adopted' | 'ignored' | 'quarantined';
  /** Why it is in this state, e.g. what a quarantined device did; null where nobody said. */
  readonly reason: string | null;
  /** Null in every other state. */
  readonly quarantine: Quarantine | null;
  /** Sorted. Of people's own making, e.g. `shelf=2`. */
  readonly tags: readonly string[];
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
}

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

/** What a predictor of one metric of one target was fitted to, and how it has done since. */
export interface PredictorRecord {
  readonly id: PredictorId;
  /** Where its networks were measured; any device of the same target may be asked about. */
  readonly deviceId: DeviceId;
  readonly target: Target;
  readonly spaceId: string;
  readonly metric: string;
  /** `daemon/predictors/predictor-body.ts`. */
  readonly body: Json;
  readonly createdMs: number;
  readonly updatedMs: number;
}
