import { z } from 'zod';

export const retentionSchema = z.object({
  eventDays: z.number(),
  mostEvents: z.int(),
  deviceDays: z.number(),
  schedule: z.string().nullable().describe('A cron expression in local time; null: never by itself.'),
});

export const pruneRequestSchema = z.strictObject({ dryRun: z.boolean().default(false) });

export const forgottenSchema = z.object({
  events: z.int(),
  eventsKept: z.int(),
  devices: z.int(),
  deviceIds: z.array(z.string()).describe('The first hundred.'),
  dryRun: z.boolean(),
});
