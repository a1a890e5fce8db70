import type { HildaError } from '../core/errors.js';
import type { DeviceId } from '../core/ids.js';
import type { JobRecord, MeasurementRecord } from '../store/contract.js';
import { type Given, isBuilt, type Outcome, type ParsedJob } from './job.js';

/** A job that is queued or runs, as this daemon holds it beside its stored record. */
export class Entry {
  record: JobRecord;
  readonly job: ParsedJob;
  readonly given: Given;
  /** The devices that it names, by itself or by a pool; null where target or tags decide. */
  readonly named: readonly DeviceId[] | null;
  /** Devices that were not available for it. */
  readonly excluded = new Set<DeviceId>();
  readonly abort = new AbortController();
  /** Attempts that ended in a failure or an invalid measurement. */
  attempts = 0;
  /** What the last attempt left that gave a measurement. */
  last: { readonly measurement: MeasurementRecord; readonly classifies: boolean | null } | undefined;
  readonly done: Promise<Outcome>;
  readonly #ordinal: number;
  resolve: (outcome: Outcome) => void = () => {};
  reject: (error: HildaError) => void = () => {};

  constructor(
    record: JobRecord,
    job: ParsedJob,
    { given, named }: { readonly given: Given; readonly named: readonly DeviceId[] | null },
  ) {
    this.record = record;
    this.job = job;
    this.#ordinal = Number(record.id.slice(1));
    this.given = given;
    this.named = named;
    this.done = new Promise((resolve, reject) => {
      this.resolve = resolve;
      this.reject = reject;
    });
    // Nobody need wait for it.
    this.done.catch(() => {});
  }

  /** Whether it goes on after the daemon ended: its client will not come back for it, or its owner alone has its network. */
  get outlives(): boolean {
    return canOutlive(this.record);
  }

  /**
   * Whether it waits until a device is released from quarantine. All other work is told at once: its client waits, or its owner
   * decides what follows.
   */
  get waitsForRelease(): boolean {
    return this.job.owner.kind === 'person' && this.outlives;
  }

  get ordinal(): number {
    return this.#ordinal;
  }
}

export const canOutlive = (record: JobRecord): boolean => !isBuilt(record) && !record.attached;
