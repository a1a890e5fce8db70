import type { DeviceId } from '../core/ids.js';

/** Events that a policy lets go: the oldest ones, up to `upToSeq`. */
export interface OldEvents {
  readonly count: number;
  /** 0 where there are none. */
  readonly upToSeq: number;
  /** How many stay. */
  readonly kept: number;
}

/**
 * What may be forgotten. Measurements, studies, trials, predictors and models never are.
 *
 * A device may be forgotten that was not seen since, that was never leased, that nobody tagged, ignored or quarantined, and that nothing names: no
 * measurement, predictor, study, specialisation, job, campaign, and no value by key, such as a calibration.
 */
export interface RetentionStore {
  /** The oldest events: those before `beforeMs`, and those beyond the latest `most`. */
  oldEvents(limits: { readonly beforeMs: number; readonly most: number }): Promise<OldEvents>;
  /** Removes up to `most` of the events up to `upToSeq`, the oldest first. How many they were. */
  forgetEvents(upToSeq: number, most: number): Promise<number>;
  /** The oldest that is kept; one more than the last where none is. */
  firstSeq(): Promise<number>;
  /** At most `most`, by id, of those after `after`. */
  unusedDevices(page: {
    readonly beforeMs: number;
    readonly after: DeviceId | null;
    readonly most: number;
  }): Promise<DeviceId[]>;
  /** Forgets those of these devices that are unused still. Which they were. */
  forgetDevices(ids: readonly DeviceId[], beforeMs: number): Promise<DeviceId[]>;
}
