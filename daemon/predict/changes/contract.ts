import type { Interval } from '../../core/intervals.js';

/** One measurement of a series. */
export interface SeriesPoint {
  /** Above 0, in any unit: results are ratios. */
  readonly value: number;
  /** Standard error of the value, as a share of it. Without one all points count alike. */
  readonly standardError?: number;
  /** What a reference network took in the same session, in any unit that stays the same. */
  readonly reference?: number;
}

export interface WatchOptions {
  /** The direction in which a series grows worse: episodes of throttling go there. Latency is worse when it goes up. */
  readonly worse?: 'up' | 'down';
  /** Points of an unchanged series for one false alarm: 1000, 2000 or 5000. */
  readonly pointsPerFalseAlarm?: FalseAlarmRate;
}

export type FalseAlarmRate = 1000 | 2000 | 5000;

/** A level that changed and stayed. Positions count the points of the series from 0, missing ones too. */
export interface Change {
  /** First position of the new level: the likeliest one. */
  readonly since: number;
  /** First and last position that it may be, at 95 %. */
  readonly sinceInterval: readonly [first: number, last: number];
  /** New level over old one. */
  readonly ratio: number;
  /** Its 95 % interval. It does not allow for the choice of the largest among many tests. */
  readonly ratioCi: Interval;
  /** Position of the point that decided. */
  readonly foundAt: number;
  /** `machine`: the reference moved with the series, so that the device changed and not what is measured. */
  readonly cause: 'series' | 'machine';
  /** Position from which the old level holds again: the change was an episode. */
  readonly returnedAt?: number;
}

export interface ChangeEvent {
  readonly kind: 'changed' | 'returned';
  readonly change: Change;
}

/** A change that is seen and is not reported yet, because an episode would look like it. */
export interface Suspicion {
  readonly since: number;
  readonly ratio: number;
  /** Points that must hold the level before it is reported. */
  readonly pointsMissing: number;
}
