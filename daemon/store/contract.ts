import type { Architecture } from '../core/architecture.js';
import type { AnswersOf, EvidenceOf } from '../core/evidence.js';
import type {
  ArchitectureId,
  BlobId,
  DeviceId,
  MeasurementId,
  PredictorId,
  SpecialisationId,
  StudyId,
} from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Measurement } from '../core/measurement.js';
import type { RngState } from '../core/rng.js';
import type { AlertStore } from './alert-contract.js';
import type { BenchmarkStore } from './benchmark-contract.js';
import type { CampaignStore } from './campaign-contract.js';
import type { JobStore } from './job-contract.js';
import type { PresenceStore } from './presence-contract.js';
import type {
  DeviceRecord,
  Lease,
  MeasurementRecord,
  PredictorRecord,
  Quarantine,
  TrialOfMeasurement,
} from './records.js';
import type { RetentionStore } from './retention-contract.js';
import type { RolloutStore } from './rollout-contract.js';
import type { ScheduleStore } from './schedule-contract.js';
import type { WebhookStore } from './webhook-contract.js';

export type { JobRecord } from './job-contract.js';
export type {
  DeviceRecord,
  Lease,
  MeasurementRecord,
  PredictorRecord,
  TrialOfMeasurement,
} from './records.js';

export type StudyState = 'running' | 'paused' | 'completed' | 'stopped' | 'failed';

/** Which work of a specialisation a study does; there is at most one for each. */
export interface StudyPart {
  readonly specialisationId: SpecialisationId;
  readonly deviceId: DeviceId;
  /** `finals`: what all searches found is measured on this device. */
  readonly role: 'search' | 'finals';
}

export interface StudyRecord {
  readonly id: StudyId;
  readonly name: string;
  /** The validated specification, as given. */
  readonly spec: Json;
  readonly state: StudyState;
  /** Why it failed or stopped; null otherwise. */
  readonly reason: string | null;
  readonly createdMs: number;
  readonly updatedMs: number;
  /** What makes the next proposals reproducible; written with the trials it belongs to, in one transaction. */
  readonly sampler: Json;
  readonly rng: RngState;
  /** Null: a study of its own. */
  readonly part: StudyPart | null;
}

/** One search a device, then every finalist on every device. Its studies say themselves that they are its. */
export interface SpecialisationRecord {
  readonly id: SpecialisationId;
  readonly name: string;
  readonly state: 'running' | 'paused' | 'completed' | 'failed';
  /** Why it is paused or failed; null otherwise. */
  readonly reason: string | null;
  /** What was asked: `daemon/study/specialisation/shapes.ts`. */
  readonly body: Json;
  readonly createdMs: number;
}

/**
 * `asked` -> `complete | infeasible | failed`. A finished trial never changes again, except that it becomes told, and that a
 * told, complete one learns what a device that was away says of it.
 */
export interface TrialRecord {
  readonly studyId: StudyId;
  /** From 0, in the order of asking. */
  readonly number: number;
  readonly architectureId: ArchitectureId;
  readonly architecture: Architecture;
  readonly note: string;
  readonly state: 'asked' | 'complete' | 'infeasible' | 'failed';
  readonly told: boolean;
  /** By metric. Measured and evaluated values only. */
  readonly values: Readonly<Record<string, number>>;
  /** What evaluated values rest on; trials of earlier versions do not say. */
  readonly evidence: EvidenceOf;
  /** What was predicted for it before it was measured, by metric. */
  readonly predicted: Readonly<
    Record<string, { readonly mean: number; readonly low: number; readonly high: number }>
  >;
  /** By device; written as each measurement ends, before the trial is finished. */
  readonly measurements: Readonly<Record<DeviceId, MeasurementId>>;
  /** What a program outside said of it: `OutsideResult` of daemon/study/outside.ts. Null where none did. */
  readonly result: Json | null;
  /** Which limit was broken, or which error code and message; null when complete. */
  readonly reason: string | null;
  readonly askedMs: number;
  readonly finishedMs: number | null;
}

/** In the order that columns name states by. */
export const trialStates = [
  'asked',
  'complete',
  'infeasible',
  'failed',
] as const satisfies readonly TrialRecord['state'][];

/** Trials of one study as columns, one entry a trial, numbered on from `from`. */
export interface TrialColumns {
  readonly from: number;
  readonly length: number;
  /** By their place in `trialStates`. */
  readonly states: Uint8Array;
  /** 1 where the sampler heard of it. */
  readonly told: Uint8Array;
  /** By metric; NaN where a trial does not know it. */
  readonly values: ReadonlyMap<string, Float64Array>;
}

/** How far the told trials of a study are sealed: so many pieces, the newest of them by this revision. */
export interface TrialSeal {
  readonly pieces: number;
  readonly revision: number;
}

/** What there is of a study's trials beyond a seal. */
export interface TrialsSince {
  readonly seal: TrialSeal;
  /** Sealed pieces beyond the one that was given; all of them where `isWhole`. */
  readonly sealed: readonly TrialColumns[];
  /** No seal was given, or a piece before it was revised. */
  readonly isWhole: boolean;
  /** Trials that are not sealed yet; null where there are none. */
  readonly open: TrialColumns | null;
}

/**
 * Something a reader may want to hear of. `seq` grows by one with each event, without gaps, in commit order. The oldest are
 * forgotten in time (`firstSeq`).
 */
export interface StoredEvent {
  readonly seq: number;
  /** `devices`, `jobs`, `campaigns`, `benchmarks`, `schedules`, `rollouts`, `study.<id>`, `specialisation.<id>`, `measurements`, `predictors`, `alerts`, `retention`. */
  readonly topic: string;
  readonly atMs: number;
  readonly data: Json;
}

/** A value on the way to a trial's result, such as the accuracy after an epoch. */
export interface TrialStep {
  readonly step: number;
  readonly value: number;
}

export interface FinishedTrial {
  readonly studyId: StudyId;
  readonly number: number;
  readonly state: 'complete' | 'infeasible' | 'failed';
  readonly values: Readonly<Record<string, number>>;
  readonly reason: string | null;
  /** Left out: none, or as it was where the trial is revised. */
  readonly evidence?: EvidenceOf;
  /** Image by image. A revised trial keeps those that are not replaced here. */
  readonly answers?: AnswersOf;
  /** What devices and evaluators said of it (`daemon/study/heard.ts`). That of a revised trial is added to what there is. */
  readonly heard?: readonly Json[];
}

/** Left out, a field excludes nothing. */
export interface TrialFilter {
  readonly states?: readonly TrialRecord['state'][];
  readonly architectureId?: ArchitectureId;
  readonly architectureIds?: readonly ArchitectureId[];
  readonly numbers?: readonly number[];
}

export interface TrialPage {
  readonly fromNumber?: number;
  readonly limit?: number;
}

/** Left out, a field excludes nothing. */
export interface MeasurementFilter {
  readonly deviceId?: DeviceId;
  readonly studyId?: StudyId;
  readonly structureHash?: string;
  readonly verdict?: MeasurementRecord['verdict'];
}

/**
 * What the daemon remembers. One contract, several engines.
 *
 * - Each method is one transaction: after it resolved, its effect survives `kill -9`; when it throws, nothing changed.
 * - Each write that others may want to hear of appends its event in the same transaction.
 * - A measurement is never changed or deleted. A finished trial takes no other result (STATE_CONFLICT), except a late one.
 * - At most one live lease a device. `acquireLease` answers undefined when another holder's lease has not expired;
 *   the same holder renews. Writes under a lease pass its token; a stale one throws LEASE_STALE and writes nothing.
 * - At most one study a part of a specialisation: a second `createStudy` for it throws STATE_CONFLICT and writes nothing.
 *   Its event goes to the topic of the specialisation, too.
 * - Errors: DISK_FULL, DISK_FAILED, STORE_CORRUPT, STORE_BUSY, STORE_NEWER, NOT_FOUND, STUDY_UNKNOWN, DEVICE_UNKNOWN,
 *   PREDICTOR_UNKNOWN.
 */
export interface Store
  extends JobStore,
    CampaignStore,
    BenchmarkStore,
    AlertStore,
    PresenceStore,
    WebhookStore,
    ScheduleStore,
    RolloutStore,
    RetentionStore {
  /** `host` is null where it is left out. */
  upsertDevice(
    device: Pick<DeviceRecord, 'id' | 'kind' | 'label' | 'target'> & Partial<Pick<DeviceRecord, 'host'>>,
  ): Promise<DeviceRecord>;
  /** As `upsertDevice` for each, each id once, in few transactions; answers in this order. */
  upsertDevices(
    devices: readonly (Pick<DeviceRecord, 'id' | 'kind' | 'label' | 'target'> &
      Partial<Pick<DeviceRecord, 'host'>>)[],
  ): Promise<DeviceRecord[]>;
  /** Into quarantine and out of it is told as an alert. `by` counts for a quarantine alone: by hand where it is left out. */
  setDeviceState(
    id: DeviceId,
    state: DeviceRecord['state'],
    reason?: string | null,
    by?: Quarantine['by'],
  ): Promise<DeviceRecord>;
  /** Counts a health check of a quarantined device: one that passes adds to those in a row, one that fails ends them. */
  noteHealthCheck(id: DeviceId, passed: boolean): Promise<DeviceRecord>;
  /** Replaces the device's tags; they are kept sorted, each once. */
  setDeviceTags(id: DeviceId, tags: readonly string[]): Promise<DeviceRecord>;
  devices(): Promise<DeviceRecord[]>;
  device(id: DeviceId): Promise<DeviceRecord>;

  acquireLease(deviceId: DeviceId, holder: string, ttlMs: number): Promise<Lease | undefined>;
  renewLease(lease: Lease, ttlMs: number): Promise<Lease>;
  releaseLease(lease: Lease): Promise<void>;
  /** Frees leases that ran out, and those of `holder` (a restarted daemon names its own). How many were freed. */
  expireLeases(holderPrefix?: string): Promise<number>;
  /** Frees leases that ran out of holders that begin so. Answers with their devices. */
  freeExpired(holderPrefix: string): Promise<DeviceId[]>;
  leases(): Promise<Lease[]>;

  /**
   * Stores a measurement under its lease. With a trial, the trial's `measurements` learns of it in the same
   * transaction. `late`: of a complete trial, for a device that was away; the trial learns of it only where it is valid.
   * Rounds are kept as one packed blob.
   */
  addMeasurement(
    measurement: Measurement,
    context: {
      readonly deviceId: DeviceId;
      readonly lease: Lease;
      readonly trial?: TrialOfMeasurement;
    },
  ): Promise<MeasurementRecord>;
  measurement(id: MeasurementId): Promise<MeasurementRecord>;
  /** Newest first. Rounds are left out (an empty list): ask for one measurement to see them. */
  measurements(
    filter: MeasurementFilter & {
      /** What was stored before this one. Throws NOT_FOUND. */
      readonly before?: MeasurementId;
      readonly limit?: number;
    },
  ): Promise<MeasurementRecord[]>;
  measurementCount(filter: MeasurementFilter): Promise<number>;
  /** Those of these ids that there are, without rounds. */
  measurementsById(ids: readonly MeasurementId[]): Promise<ReadonlyMap<MeasurementId, MeasurementRecord>>;

  createStudy(study: {
    readonly name: string;
    readonly spec: Json;
    readonly sampler: Json;
    readonly rng: RngState;
    /** Null where it is left out. */
    readonly part?: StudyPart | undefined;
  }): Promise<StudyRecord>;
  studies(): Promise<StudyRecord[]>;
  study(id: StudyId): Promise<StudyRecord>;
  /** Those of a specialisation, oldest first, without what each searches. */
  studiesOf(id: SpecialisationId): Promise<(StudyPart & Pick<StudyRecord, 'id' | 'state'>)[]>;
  setStudyState(id: StudyId, state: StudyState, reason?: string | null): Promise<StudyRecord>;
  /** Inserts asked trials, numbered on from the last, with the sampler and rng state after asking. */
  askTrials(
    id: StudyId,
    trials: readonly Pick<TrialRecord, 'architectureId' | 'architecture' | 'note' | 'predicted'>[],
    after: { readonly sampler: Json; readonly rng: RngState },
  ): Promise<TrialRecord[]>;
  finishTrial(trial: FinishedTrial): Promise<TrialRecord>;
  /** What a told, complete trial is now that a device that was away has measured it. STATE_CONFLICT for any other trial. */
  reviseTrial(trial: FinishedTrial): Promise<TrialRecord>;
  /** Marks finished trials as told, with the sampler's state after hearing of them. */
  tellTrials(id: StudyId, numbers: readonly number[], sampler: Json): Promise<void>;
  /** By number. */
  trials(id: StudyId, filter?: TrialFilter & TrialPage): Promise<TrialRecord[]>;
  trialCount(id: StudyId, filter?: TrialFilter): Promise<number>;
  /**
   * What all trials are, by number, in pieces that join without gaps. A piece that did not change is the same object as
   * before; the last is another one each time. None where the study has no trials, or is not known.
   */
  trialColumns(id: StudyId): Promise<readonly TrialColumns[]>;
  /** What was sealed since, and what is open: readers that add trials up need no trial twice. */
  trialsSince(id: StudyId, seal: TrialSeal | null): Promise<TrialsSince>;
  /**
   * Keeps what a program outside says of trials, all of it or nothing. What is known and equal changes nothing; RESULT_CONFLICT
   * where another value is known. A trial that ended takes no first result, and one with a result no other step:
   * STATE_CONFLICT. Steps beside a trial's first result belong to it.
   */
  tellOutside(
    id: StudyId,
    told: {
      readonly results: readonly { readonly number: number; readonly result: Json }[];
      readonly steps: readonly (TrialStep & { readonly number: number })[];
    },
  ): Promise<void>;
  /** Values on the way to the results of these trials, by trial and step; trials without any are left out. */
  steps(id: StudyId, numbers: readonly number[]): Promise<ReadonlyMap<number, readonly TrialStep[]>>;
  /** Which images the networks of these trials got right, by trial; empty where nobody counted image by image. */
  answers(id: StudyId, numbers: readonly number[]): Promise<ReadonlyMap<number, AnswersOf>>;
  /** What was heard of these trials, by number; null for those that ended under a version that did not keep it. */
  heard(id: StudyId, numbers: readonly number[]): Promise<ReadonlyMap<number, readonly Json[] | null>>;

  /** A running one. */
  addSpecialisation(
    specialisation: Pick<SpecialisationRecord, 'name' | 'body'>,
  ): Promise<SpecialisationRecord>;
  /** Throws NOT_FOUND. */
  setSpecialisationState(
    id: SpecialisationId,
    state: SpecialisationRecord['state'],
    reason?: string | null,
  ): Promise<SpecialisationRecord>;
  /** Oldest first. */
  specialisations(): Promise<SpecialisationRecord[]>;
  /** Throws NOT_FOUND. */
  specialisation(id: SpecialisationId): Promise<SpecialisationRecord>;

  addPredictor(predictor: Omit<PredictorRecord, 'id' | 'createdMs' | 'updatedMs'>): Promise<PredictorRecord>;
  updatePredictor(id: PredictorId, body: Json): Promise<PredictorRecord>;
  /** Oldest first. */
  predictors(): Promise<PredictorRecord[]>;
  /** Throws PREDICTOR_UNKNOWN. */
  predictor(id: PredictorId): Promise<PredictorRecord>;

  /** Appends an event that belongs to no row, e.g. progress. */
  publish(topic: string, data: Json): Promise<StoredEvent>;
  /** In this order, in one transaction. */
  publishAll(events: readonly Pick<StoredEvent, 'topic' | 'data'>[]): Promise<StoredEvent[]>;
  /** Events with `seq > sinceSeq`, in order, at most `limit`; `topics` as exact names or prefixes ending in `.*`. */
  events(
    sinceSeq: number,
    options?: { readonly topics?: readonly string[]; readonly limit?: number },
  ): Promise<StoredEvent[]>;
  lastSeq(): Promise<number>;
  /** Calls back after each commit that appended events. A hint only: read `events`. Returns the way to stop. */
  onEvents(listener: () => void): () => void;

  /** A value by key, for what needs no table of its own (calibrations). */
  setValue(key: string, value: Json): Promise<void>;
  value(key: string): Promise<Json | undefined>;
  /** Those of these keys that there are. */
  values(keys: readonly string[]): Promise<ReadonlyMap<string, Json>>;

  close(): Promise<void>;
}

/** Bytes by their SHA-256. `put` of what is there already does nothing; what `get` returns was checked. */
export interface BlobStore {
  put(bytes: Uint8Array): Promise<BlobId>;
  get(id: BlobId): Promise<Uint8Array>;
  has(id: BlobId): Promise<boolean>;
}
