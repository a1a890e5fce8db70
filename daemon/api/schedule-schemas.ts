import { z } from 'zod';
import { suiteSchema } from '../benchmarks/suites/suite.js';
import { timingFields } from '../schedules/schedule.js';
import { type FiringRecord, firingOutcomes, type ScheduleRecord } from '../store/schedule-contract.js';

/** Schedules as they cross the wire. */

const name = z
  .string()
  .regex(/^[A-Za-z0-9][\w. -]{0,99}$/, 'letters, digits, `.`, `_`, `-` and spaces, at most 100');
const common = { name, ...timingFields };

export const scheduleRequestSchema = z
  .discriminatedUnion('kind', [
    z.strictObject({
      ...common,
      kind: z.literal('suite'),
      suite: suiteSchema,
      compare: z
        .string()
        .min(1)
        .max(100)
        .nullable()
        .default(null)
        .describe('What each run is held against: `baseline`, `last`, a run, or nothing.'),
    }),
    z.strictObject({
      ...common,
      kind: z.literal('probe'),
      predictor: z.string().min(1).max(200),
      count: z.int().min(1).max(200).default(10),
      refit: z.boolean().default(false),
    }),
    z.strictObject({
      ...common,
      kind: z.literal('health'),
      devices: z.array(z.string().min(1).max(2000)).min(1).max(1000),
    }),
    z.strictObject({
      ...common,
      kind: z.literal('backup'),
      keep: z.int().min(1).max(1000).default(7).describe('So many backups stay.'),
    }),
  ])
  .meta({ id: 'ScheduleRequest' });

const firingSchema = z
  .object({
    plannedMs: z.int(),
    atMs: z.int(),
    outcome: z.enum(firingOutcomes),
    detail: z.json().nullable().describe('What came of it, by kind; a problem where it failed.'),
  })
  .meta({ id: 'Firing' });

export const scheduleEntrySchema = z
  .object({
    name: z.string(),
    kind: z.string(),
    cron: z.string(),
    timezone: z.string(),
    window: z.object({ from: z.string(), to: z.string() }).nullable(),
    catchUp: z.boolean(),
    request: z.json(),
    state: z.enum(['active', 'paused']),
    nextMs: z.int().nullable().describe('The next firing; null while it is paused.'),
    last: firingSchema.nullable(),
    createdMs: z.int(),
  })
  .meta({ id: 'Schedule' });
export type ScheduleView = z.infer<typeof scheduleEntrySchema>;

export const firingListSchema = { firings: z.array(firingSchema) };

export const viewFiring = (firing: FiringRecord): z.infer<typeof firingSchema> => ({ ...firing }) as never;

export const viewSchedule = ({ timing, last, ...rest }: ScheduleRecord): ScheduleView =>
  ({
    ...rest,
    cron: timing.cron,
    timezone: timing.timezone,
    window: timing.window ?? null,
    catchUp: timing.catchUp,
    last: last && viewFiring(last),
  }) as never;
