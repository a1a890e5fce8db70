import type { DeviceId } from '../core/ids.js';

/** A stretch of time, Unix milliseconds. */
export interface Span {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** When devices were seen, and when a daemon looked for them. */
export interface PresenceStore {
  /**
   * Ends what a daemon that was killed left open, at the last moment that it noted, and begins a span of this daemon. Spans that ended
   * before `keepFromMs` are forgotten.
   */
  beginWatch(keepFromMs: number): Promise<void>;
  /** These devices are here now: their spans and the daemon's reach to this moment, and those of all others end at it. */
  notePresent(devices: readonly DeviceId[]): Promise<void>;
  /** Spans that reach beyond a moment, oldest first; of the daemon's watch where no device is named. */
  spans(device: DeviceId | null, sinceMs: number): Promise<Span[]>;
}
