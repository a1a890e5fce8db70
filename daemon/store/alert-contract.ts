import type { AlertId, DeviceId, MeasurementId, MuteId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { CostMetric } from '../core/measurement.js';
import type { alertStates } from './state-names.js';

/** A change of a series' level that was found while measurements came in. */
export interface NewAlert {
  /** The device, and what the measurements share by `seriesKey` of daemon/benchmarks/history/history.ts. */
  readonly series: string;
  readonly deviceId: DeviceId;
  readonly structureHash: string;
  readonly metric: CostMetric;
  /** The likeliest first measurement of the new level, and those between which it lies at 95 %. */
  readonly since: MeasurementId;
  readonly sinceMs: number;
  readonly between: readonly [MeasurementId, MeasurementId];
  /** The measurement that decided. */
  readonly foundAt: MeasurementId;
  /** New level over old one, with its 95 % interval. */
  readonly ratio: number;
  readonly ratioCi: readonly [number, number];
  readonly cause: 'series' | 'machine';
  readonly differences: readonly { readonly path: string; readonly before: string; readonly since: string }[];
}

/** What alerts of every kind have. */
interface Raised {
  readonly id: AlertId;
  readonly raisedMs: number;
  /** A mute covered it when it was raised. */
  readonly muted: boolean;
  readonly acknowledged: { readonly by: string; readonly atMs: number; readonly note: string } | null;
}

export interface ChangeAlert extends NewAlert, Raised {
  readonly kind: 'change';
  /** From this measurement on the old level holds again. */
  readonly returnedAt: MeasurementId | null;
}

/** Something that people should know of and that is no change of a series. */
export interface NewNotice {
  /** `quarantine`: a device was taken out of use. `suite`: a scheduled run broke a limit. */
  readonly kind: 'quarantine' | 'suite';
  /** The device, or the schedule: a notice is over when its subject is well again. */
  readonly subject: string;
  readonly deviceId: DeviceId | null;
  /** One sentence. */
  readonly text: string;
  readonly detail: Json;
}

export interface NoticeAlert extends NewNotice, Raised {
  /** Since when its subject is well again; null before. */
  readonly resolvedMs: number | null;
}

export type AlertRecord = ChangeAlert | NoticeAlert;

/** What raises no attention: alerts of this device, network and metric; null covers all. */
export interface AlertMute {
  readonly id: MuteId;
  readonly deviceId: DeviceId | null;
  readonly structureHash: string | null;
  readonly metric: CostMetric | null;
  /** Null: until somebody lifts it. */
  readonly untilMs: number | null;
  readonly note: string;
  readonly by: string;
  readonly createdMs: number;
}

export type AlertState = (typeof alertStates)[number];

/** Left out, a field excludes nothing. */
export interface AlertFilter {
  readonly state?: AlertState;
  readonly deviceId?: DeviceId;
}

/** Where the level of a series is as it was before. */
export interface Returned {
  readonly series: string;
  readonly metric: CostMetric;
  /** Of the change. */
  readonly ratio: number;
  readonly between: readonly [MeasurementId, MeasurementId];
  readonly returnedAt: MeasurementId;
}

/** That a measurement was stored, and of what. */
export interface Measured {
  readonly ordinal: number;
  readonly deviceId: DeviceId;
  readonly structureHash: string;
  readonly valid: boolean;
}

export interface AlertStore {
  /** Whether there are valid measurements of each network on each device before one, in the order asked: one question for all. */
  wereMeasured(
    networks: readonly {
      readonly deviceId: DeviceId;
      readonly structureHash: string;
      readonly before: MeasurementId;
    }[],
  ): Promise<readonly boolean[]>;
  /** Where the next measurements were taken, in the order of storing. */
  measuredAfter(ordinal: number, limit: number): Promise<readonly Measured[]>;
  /**
   * Raises alerts and keeps how far the measurements were looked at, in one transaction. A change that an alert of the same
   * series, metric and direction already covers raises none. Answers with those that are new.
   */
  raiseAlerts(found: {
    readonly alerts: readonly NewAlert[];
    readonly returned: readonly Returned[];
    readonly watchedUpTo: number;
  }): Promise<ChangeAlert[]>;
  /**
   * Raises a notice and tells webhooks. Null where one of the same kind and subject is not over, and was acknowledged or says
   * the same.
   */
  raiseNotice(notice: NewNotice): Promise<NoticeAlert | null>;
  /** Ends all notices of a kind about a subject that is well again. How many there were. */
  resolveNotices(kind: NewNotice['kind'], subject: string): Promise<number>;
  /** Measurements up to this ordinal were looked at. */
  watchedUpTo(): Promise<number>;
  /** Newest first. */
  alerts(
    filter: AlertFilter & { readonly before?: AlertId; readonly limit?: number },
  ): Promise<readonly AlertRecord[]>;
  alertCount(filter: AlertFilter): Promise<number>;
  /** Throws NOT_FOUND. */
  alert(id: AlertId): Promise<AlertRecord>;
  /** The first one to do so stays named. Throws NOT_FOUND. */
  acknowledgeAlert(id: AlertId, by: { readonly by: string; readonly note: string }): Promise<AlertRecord>;
  /** Acts on alerts to come. */
  addMute(mute: Omit<AlertMute, 'id' | 'createdMs'>): Promise<AlertMute>;
  /** Throws NOT_FOUND. */
  mute(id: MuteId): Promise<AlertMute>;
  /** Throws NOT_FOUND. */
  liftMute(id: MuteId): Promise<AlertMute>;
  /** Newest first, those that ran out left out. */
  mutes(): Promise<readonly AlertMute[]>;
}
