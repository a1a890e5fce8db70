import type { ErrorDocument } from '../core/errors.js';
import type { DeviceId, JobId, MeasurementId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { CampaignRecord } from './campaign-contract.js';

/** A run of a suite: a campaign of the kind `benchmark`, whose request is the suite as it was when the run began. */
export interface BenchmarkRunRecord extends CampaignRecord {
  readonly suite: string;
  /** SHA-256 of the suite as it was. */
  readonly specHash: string;
}

export type BenchmarkCaseState = 'open' | 'done' | 'failed' | 'cancelled';

/** One measurement that a run is to take. */
export interface BenchmarkCaseRecord {
  readonly run: string;
  /** From 0, in the order of measuring on each place. */
  readonly number: number;
  /** The network's name in the suite. */
  readonly network: string;
  /** Where it is measured: a selector as people write it. */
  readonly place: string;
  /** From 0. */
  readonly repetition: number;
  /** The network of the job. */
  readonly asked: Json;
  readonly state: BenchmarkCaseState;
  readonly jobId: JobId | null;
  readonly deviceId: DeviceId | null;
  /** Also of a case that failed: the measurement that is not valid. */
  readonly measurementId: MeasurementId | null;
  readonly error: ErrorDocument | null;
  readonly endedMs: number | null;
}

export interface BaselineRecord {
  readonly suite: string;
  readonly run: string;
  readonly setMs: number;
}

export interface BenchmarkStore {
  /** The run with all its cases, and the campaign that it is, in one transaction. */
  addBenchmarkRun(run: {
    readonly suite: string;
    readonly spec: Json;
    readonly specHash: string;
    readonly cases: readonly Pick<BenchmarkCaseRecord, 'network' | 'place' | 'repetition' | 'asked'>[];
  }): Promise<BenchmarkRunRecord>;
  /** A run that has ended when it is stored: figures that somebody else published, a case each, with no measurement. */
  addImportedRun(run: {
    readonly suite: string;
    readonly spec: Json;
    readonly specHash: string;
    readonly figures: readonly Pick<BenchmarkCaseRecord, 'network' | 'place' | 'asked'>[];
  }): Promise<BenchmarkRunRecord>;
  /** An open case ends and counts as done in its run; one that has ended stays as it is. */
  endBenchmarkCase(
    run: string,
    number: number,
    end: Pick<BenchmarkCaseRecord, 'jobId' | 'deviceId' | 'measurementId' | 'error'> & {
      readonly state: Exclude<BenchmarkCaseState, 'open'>;
      /** What was heard of its attempts (`AttemptNote` of daemon/jobs/job.ts). */
      readonly heard?: Json;
    },
  ): Promise<void>;
  /** What was heard of each case, by number; null for those that are open, or ended under a version that did not keep it. */
  benchmarkHeard(run: string): Promise<readonly (Json | null)[]>;
  /** Throws NOT_FOUND. */
  benchmarkRun(id: string): Promise<BenchmarkRunRecord>;
  /** Newest first. */
  benchmarkRuns(filter?: {
    readonly suite?: string;
    /** Only older ones. */
    readonly before?: string;
    readonly limit?: number;
  }): Promise<BenchmarkRunRecord[]>;
  benchmarkRunCount(suite?: string): Promise<number>;
  /** By number, from `from` on. */
  benchmarkCases(
    run: string,
    page?: { readonly from?: number; readonly limit?: number },
  ): Promise<BenchmarkCaseRecord[]>;
  /** What later runs of the suite are held against. */
  setBaseline(suite: string, run: string): Promise<BaselineRecord>;
  /** By suite. */
  baselines(): Promise<BaselineRecord[]>;
}
