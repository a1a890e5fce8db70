import type { Access } from '../access/access.js';
import type { StoredJoinKeys } from '../access/join-keys.js';
import type { Digests } from '../benchmarks/alerts/digests.js';
import type { Webhooks } from '../benchmarks/alerts/webhooks.js';
import type { BenchmarkRuns } from '../benchmarks/runs/benchmark-runs.js';
import type { Clock } from '../core/clock.js';
import type { HildaError } from '../core/errors.js';
import type { DeviceId, MeasurementId, SpecialisationId, StudyId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Connection, LineState } from '../devices/connection.js';
import type { Sighting } from '../devices/contract.js';
import type { Admit } from '../devices/join-keys.js';
import type { UnusableKind } from '../devices/registry.js';
import type { Switchboard } from '../faults/switchboard.js';
import type { Presence } from '../fleet/lookout.js';
import type { Retention } from '../fleet/retention.js';
import type { Campaigns } from '../jobs/campaigns.js';
import type { Comparisons } from '../jobs/comparisons.js';
import type { HealthChecks } from '../jobs/health-checks.js';
import type { Jobs } from '../jobs/jobs.js';
import type { PersonalLeases } from '../jobs/personal-leases.js';
import type { Graph } from '../network/graph.js';
import type { LoadedPlugin } from '../plugins/load-plugins.js';
import type { PredictorService } from '../predictors/predictor-service.js';
import type { ProbeSchedules } from '../predictors/probe-schedules.js';
import type { DataReading } from '../reading/contract.js';
import type { Rollouts } from '../rollouts/rollouts.js';
import type { Schedules } from '../schedules/schedules.js';
import type {
  BlobStore,
  DeviceRecord,
  Store,
  StudyRecord,
  TrialFilter,
  TrialPage,
  TrialRecord,
} from '../store/contract.js';
import type { Beside } from '../study/beside.js';
import type { ExportedTrial } from '../study/export.js';
import type { Fronts } from '../study/front-rows.js';
import type { AskRequest, Exchange, TellRequest } from '../study/outside-exchange.js';
import type { Specialisations } from '../study/specialisation/specialisations.js';
import type { StudyDecisions, StudySummary } from '../study/study-answers.js';

/** What the API needs of the fleet. */
export interface DevicePort {
  /** Looks at every driver once; records what it sees. Changes nothing on a device. */
  discover(options: { readonly signal: AbortSignal }): Promise<readonly Sighting[]>;
  /** From `sighted` to `adopted`. Throws DEVICE_UNKNOWN, or DEVICE_FAILED where an obstacle stands in the way. */
  adopt(id: DeviceId): Promise<DeviceRecord>;
  /** Out of use, with the reason shown to people. */
  setAside(id: DeviceId, state: 'ignored' | 'quarantined', reason?: string | null): Promise<DeviceRecord>;
  /** Ends a quarantine. Throws STATE_CONFLICT where it is in none. */
  release(id: DeviceId, options: { readonly relearn?: boolean }): Promise<DeviceRecord>;
  tag(id: DeviceId, tags: readonly string[]): Promise<DeviceRecord>;
  presence(id: DeviceId): Presence;
}

export interface JoinAddress {
  /** For example `https://192.168.1.20:4381`. */
  readonly base: string;
  readonly note: string;
  /** SHA-256 of the daemon's public key; null where the address is no https address. */
  readonly pin: string | null;
  /** Of the certificate that this address shows. */
  readonly fingerprint: string | null;
}

/** What the API needs of those who join over the network. */
export interface JoiningPort {
  readonly keys: Pick<StoredJoinKeys, 'issue' | 'issueAgain' | 'guestOf' | 'joiners' | 'revoke'>;
  /** The best first. */
  addresses(): readonly JoinAddress[];
  /** Take a connection in; it proves who it is with its first message. */
  acceptPage(connection: Connection, admit: Admit): Promise<HildaError | null>;
  acceptAgent(connection: Connection, admit: Admit): Promise<HildaError | null>;
  /** Of the line to the page or agent that a device is behind, while it is here. */
  lineTo(device: DeviceId): LineState | undefined;
}

/** What the API needs of the studies; `StudyService` fits it. */
export interface StudyPort {
  create(spec: unknown): Promise<StudyRecord>;
  list(): Promise<StudyRecord[]>;
  show(id: StudyId): Promise<StudySummary>;
  trials(id: StudyId, filter?: TrialFilter & TrialPage): Promise<TrialRecord[]>;
  fronts(id: StudyId): Promise<Fronts>;
  decisions(id: StudyId): Promise<StudyDecisions>;
  compare(id: StudyId, numbers: readonly [number, number]): Promise<Beside[]>;
  pause(id: StudyId): Promise<StudyRecord>;
  resume(id: StudyId): Promise<StudyRecord>;
  /** For good. */
  stopStudy(id: StudyId): Promise<StudyRecord>;
  /** See `OutsideExchange.ask`. */
  ask(id: StudyId, request: AskRequest, options: { readonly signal: AbortSignal }): Promise<Exchange>;
  /** See `OutsideExchange.tell`. */
  tell(id: StudyId, request: TellRequest, options: { readonly signal: AbortSignal }): Promise<Exchange>;
  exportTrial(id: StudyId, trialNumber: number): Promise<ExportedTrial>;
}

/** What the API needs of the jobs. */
export type JobPort = Pick<Jobs, 'submit' | 'show' | 'list' | 'cancel' | 'retry' | 'whyWaiting'>;

/** What the API needs of the predictors. */
export type PredictorPort = Pick<
  PredictorService,
  'train' | 'importTable' | 'list' | 'open' | 'insight' | 'predict' | 'probe' | 'refit' | 'table'
>;

/**
 * Everything the API serves, and nothing of how it is made: tests hand in a real store and a fake device, the
 * composition root (`daemon/process/daemon.ts`) the real parts.
 */
export interface DaemonServices {
  readonly version: string;
  /** Packages that were loaded into the daemon. */
  readonly plugins?: readonly LoadedPlugin[];
  /** Kinds of devices whose code does not load here. */
  readonly unusable?: readonly UnusableKind[];
  /** Where faults are injected on purpose. */
  readonly faults?: Pick<Switchboard, 'rules' | 'strikes'>;
  readonly clock: Clock;
  /** Who may use the API. Left out, every request is the local user's: for tests of routes. */
  readonly access?: Access;
  /** Where the networks are served the page, e.g. `https://10.0.0.2:4381`. */
  readonly pageBases?: () => readonly string[];
  /** Evaluators that anybody with the scope to start studies may name, as they are written here. */
  readonly allowedEvaluators?: readonly Json[];
  readonly store: Store;
  /** Models, and what measurements refer to. */
  readonly blobs: BlobStore;
  /** What requests refer to; each goes a day after its last use. */
  readonly uploads: BlobStore;
  readonly pool: DevicePort;
  readonly joining: JoiningPort;
  readonly studies: StudyPort;
  readonly specialisations: Pick<Specialisations, 'create' | 'list' | 'show' | 'resume'>;
  readonly predictors: PredictorPort;
  readonly schedules: Pick<ProbeSchedules, 'of' | 'set' | 'clear'>;
  /** What happens at fixed times. */
  readonly calendar: Pick<Schedules, 'add' | 'list' | 'show' | 'pause' | 'resume' | 'remove'>;
  /** Decodes and checks a model: an ONNX file, or an archive with the files beside it. Throws ONNX_INVALID, EXTERNAL_DATA_MISSING, NETWORK_TOO_LARGE. */
  readNetwork(bytes: Uint8Array): Promise<Graph>;
  /** Decodes arrays. */
  readonly reading: Pick<DataReading, 'examples' | 'tensor'>;
  /** Device work. */
  readonly jobs: JobPort;
  /** Whether devices are fit. */
  readonly health: Pick<HealthChecks, 'check'>;
  /** Devices held by people and scripts. */
  readonly leases: Pick<PersonalLeases, 'acquire' | 'renew' | 'release' | 'list'>;
  /** Several jobs with one purpose. */
  readonly campaigns: Pick<Campaigns, 'show' | 'list' | 'cancel'>;
  /** Runs of benchmark suites. */
  readonly benchmarks: Pick<BenchmarkRuns, 'start' | 'import' | 'show' | 'cancel' | 'setBaseline' | 'report'>;
  /** Whether two devices of one target may be pooled: both references measured on both, in turn. */
  readonly comparisons: Pick<Comparisons, 'start' | 'verdict'>;
  /** Networks that go to many devices. */
  readonly rollouts: Pick<Rollouts, 'begin' | 'pause' | 'resume' | 'abort'>;
  /** Who hears of alerts. */
  readonly webhooks: Pick<Webhooks, 'add' | 'test'>;
  readonly digests: Pick<Digests, 'compose'>;
  /** What is forgotten in time. */
  readonly retention: Pick<Retention, 'policy' | 'prune'>;
}

export const asDeviceId = (text: string): DeviceId => text as DeviceId;
export const asStudyId = (text: string): StudyId => text as StudyId;
export const asSpecialisationId = (text: string): SpecialisationId => text as SpecialisationId;
export const asMeasurementId = (text: string): MeasurementId => text as MeasurementId;
