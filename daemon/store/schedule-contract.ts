import type { Json } from '../core/json.js';

/** When, in which zone, and within which hours. */
export interface StoredTiming {
  readonly cron: string;
  readonly timezone: string;
  readonly window?: { readonly from: string; readonly to: string } | undefined;
  readonly catchUp: boolean;
}

export interface NewSchedule {
  /** Unique. */
  readonly name: string;
  readonly kind: string;
  readonly timing: StoredTiming;
  /** What its kind does each time. */
  readonly request: Json;
  readonly nextMs: number;
}

/** `missed`: the daemon was down. `overlap`: the firing before was at work. */
export const firingOutcomes = ['started', 'done', 'failed', 'missed', 'overlap', 'outside-window'] as const;
export type FiringOutcome = (typeof firingOutcomes)[number];

export interface FiringRecord {
  readonly plannedMs: number;
  readonly atMs: number;
  readonly outcome: FiringOutcome;
  /** What its kind tells, an error document of a failed one, how many were missed. */
  readonly detail: Json | null;
}

export interface ScheduleRecord extends Omit<NewSchedule, 'nextMs'> {
  readonly state: 'active' | 'paused';
  /** Null while it is paused. */
  readonly nextMs: number | null;
  readonly last: FiringRecord | null;
  readonly createdMs: number;
}

export interface ScheduleStore {
  /** Throws STATE_CONFLICT where the name is taken. */
  addSchedule(schedule: NewSchedule): Promise<ScheduleRecord>;
  /** By name. */
  schedules(): Promise<ScheduleRecord[]>;
  /** Throws NOT_FOUND. */
  schedule(name: string): Promise<ScheduleRecord>;
  /** Throws NOT_FOUND. */
  setSchedule(
    name: string,
    to: Pick<ScheduleRecord, 'state' | 'nextMs'> & Partial<Pick<ScheduleRecord, 'timing' | 'request'>>,
  ): Promise<ScheduleRecord>;
  /** With its firings. Throws NOT_FOUND. */
  removeSchedule(name: string): Promise<void>;
  /**
   * Adds a firing and moves the schedule on to `nextMs`, in one transaction. False, and nothing is added, where there is one of this
   * planned moment.
   */
  addFiring(
    name: string,
    firing: Omit<FiringRecord, 'atMs'> & { readonly nextMs: number | null },
  ): Promise<boolean>;
  /** What came of a firing; nothing happens where it is not there any more. */
  noteFiring(name: string, plannedMs: number, outcome: FiringOutcome, detail: Json): Promise<void>;
  /** Those at work, as far as the store knows. */
  openFirings(name: string): Promise<FiringRecord[]>;
  /** Newest first. */
  firings(
    name: string,
    page?: { readonly beforeMs?: number; readonly limit?: number },
  ): Promise<FiringRecord[]>;
}
