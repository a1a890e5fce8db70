import { z } from 'zod';

/** When a predictor is probed: as asked for over HTTP, and as stored. */
export const probeScheduleSchema = z.object({
  cron: z
    .string()
    .min(1)
    .max(100)
    .describe('Five or six fields, in the daemon’s local time, e.g. `0 3 * * *`.'),
  count: z.number().int().min(1).max(200).default(10).describe('Networks measured each time.'),
  refit: z.boolean().default(false).describe('Learn from the live measurements as soon as it drifted.'),
});

/** With what the latest probe found. */
export const probeScheduleStateSchema = probeScheduleSchema.extend({
  last: z
    .strictObject({
      atMs: z.int(),
      outcome: z.enum(['steady', 'drifted', 'too-few', 'failed']),
      reason: z.string(),
    })
    .nullable()
    .default(null),
});

export type ProbeSchedule = z.infer<typeof probeScheduleSchema>;
export type ProbeScheduleState = z.infer<typeof probeScheduleStateSchema>;

/** What a schedule of the kind `probe` keeps. */
export const probeRequestSchema = z.strictObject({
  predictor: z.string().min(1).max(200),
  count: z.number().int().min(1).max(200).default(10),
  refit: z.boolean().default(false),
});
