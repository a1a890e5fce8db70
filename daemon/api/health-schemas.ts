import { z } from 'zod';
import type { DeviceHealth } from '../fleet/health/device-health.js';
import { referenceNames } from '../fleet/health/reference-levels.js';
import { deviceSchema } from './device-schemas.js';

/** How well devices do, as it crosses the wire. */

const limitsSchema = z.object({
  centre: z.number(),
  low: z.number(),
  high: z.number(),
  learntFrom: z.int().describe('Valid measurements inside the limits, the newest 60.'),
});

const pointSchema = z.object({
  measurement: z.string(),
  takenAtMs: z.int(),
  value: z.number(),
  standing: z
    .enum(['inside', 'outside', 'learning'])
    .describe('To the limits that the measurements before it taught; learning: there were too few.'),
  celsius: z.number().nullable(),
  clockHz: z.number().nullable(),
});

const chartSchema = z.object({
  reference: z.enum(referenceNames),
  unit: z.enum(['us', 'cycles', 'instructions']).describe('us: as the clock gave them, not normalised.'),
  points: z.array(pointSchema).readonly().describe('Oldest first, at most 120.'),
  limits: limitsSchema.nullable().describe('For the next measurement; null while there are too few.'),
  falseAlarmRate: z
    .number()
    .describe('Share of the measurements of an undisturbed device that lies outside.'),
  change: z
    .object({ since: z.string(), ratio: z.number() })
    .nullable()
    .describe('The latest lasting change of the level.'),
});

const availabilitySchema = z.object({
  share: z.number().nullable().describe('Of the time in which a daemon looked; null where none did.'),
  watchedMs: z.int(),
});

export const deviceHealthSchema = z
  .object({
    deviceId: z.string(),
    state: deviceSchema.shape.state,
    reason: z.string().nullable(),
    quarantine: deviceSchema.shape.quarantine,
    summary: z.string(),
    references: z.array(chartSchema).readonly(),
    availability: z.object({ day: availabilitySchema, week: availabilitySchema }),
    failures: z.object({
      endedJobs: z.int().describe('Of the last week.'),
      kinds: z
        .array(z.object({ code: z.string(), count: z.int(), lastMs: z.int() }))
        .readonly()
        .describe('Failed jobs by error code, those at a network’s fault left out.'),
    }),
  })
  .meta({
    id: 'DeviceHealth',
    description: 'Reference measurements beside their limits, availability, failures.',
  });
export type DeviceHealthView = z.infer<typeof deviceHealthSchema>;

export const healthCheckSchema = z
  .object({
    device: z.string(),
    outcome: z
      .enum(['passed', 'failed', 'unclear'])
      .describe('unclear: it was away, or its measurement is not valid.'),
    why: z.string().nullable(),
    followed: z.enum(['quarantined', 'released']).nullable().describe('What a rule did.'),
  })
  .meta({ id: 'HealthCheck' });

export const viewHealth = ({ device, ...rest }: DeviceHealth): DeviceHealthView => ({
  deviceId: device.id,
  state: device.state,
  reason: device.reason,
  quarantine: device.quarantine,
  ...rest,
});
