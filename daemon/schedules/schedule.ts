import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import { cronTimes, minuteOfDay } from '../fleet/cron-times.js';

const clockTime = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time such as 22:00');

/** When something happens: what all kinds of schedules have. */
export const timingFields = {
  cron: z
    .string()
    .min(1)
    .max(100)
    .describe(
      'Five fields: minute, hour, day of month, month, day of week; `0 3 * * *` is three each night.',
    ),
  timezone: z
    .string()
    .min(1)
    .max(100)
    .default(() => Intl.DateTimeFormat().resolvedOptions().timeZone)
    .describe('Of the IANA database, such as `Europe/Berlin`; the daemon’s where it is left out.'),
  window: z
    .strictObject({ from: clockTime, to: clockTime })
    .optional()
    .describe(
      'Only between these times of day; what a suite did not begin by its end fails with DEADLINE_MISSED.',
    ),
  catchUp: z
    .boolean()
    .default(false)
    .describe('Fire once at the start of the daemon where firings were missed.'),
};
const timingSchema = z.object(timingFields);
export type Timing = z.infer<typeof timingSchema>;

/** What a schedule of a kind does at each firing; `request` as its kind stored it. */
export interface ScheduledWork {
  /** Refuses what could never run. */
  check?(request: Json): Promise<void>;
  /** Answers with what people see of the firing. Throws why it failed. */
  run(request: Json, firing: Firing): Promise<Json>;
  /** Goes on with a firing that a former daemon left, by what it had noted. Left out: it counts as cut. */
  resume?(request: Json, noted: Json, firing: Firing): Promise<Json>;
}

export interface Firing {
  readonly schedule: string;
  readonly plannedMs: number;
  /** When the window of the schedule closes; null without one. */
  readonly closesMs: number | null;
  /** Aborts where the daemon stops. */
  readonly signal: AbortSignal;
  /** Keeps what a later daemon needs to tell what came of it. */
  note(detail: Json): Promise<void>;
}

/** Throws SCHEDULE_INVALID. */
export function nextFiring({ cron, timezone }: Timing, afterMs: number): number {
  const next = cronTimes(cron, timezone).next(afterMs);
  if (next !== null) return next;
  throw new HildaError('SCHEDULE_INVALID', `"${cron}" does not fire within 40 years`);
}

/** Whether a moment lies in the window, and when that closes. */
export function windowAt(
  { window, timezone }: Timing,
  atMs: number,
): { readonly open: boolean; readonly closesMs: number | null } {
  if (!window) return { open: true, closesMs: null };
  const [from, to] = [window.from, window.to].map((text) => {
    const [hours = 0, minutes = 0] = text.split(':').map(Number);
    return hours * 60 + minutes;
  }) as [number, number];
  const now = minuteOfDay(atMs, timezone);
  const open = from <= to ? from <= now && now < to : now >= from || now < to;
  const [hours, minutes] = [Math.floor(to / 60), to % 60];
  return { open, closesMs: cronTimes(`${minutes} ${hours} * * *`, timezone).next(atMs) };
}
