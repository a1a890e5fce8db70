import { z } from 'zod';
import { costMetrics } from '../core/measurement.js';
import { changeFields } from './history-schemas.js';

const textLimit = 500;

export const alertSchema = z
  .object({
    id: z.string(),
    deviceId: z.string(),
    structureHash: z.string().describe('Of the network.'),
    metric: z.enum(costMetrics),
    ...changeFields,
    raisedMs: z.int(),
    returnedAt: z.string().nullable().describe('From this measurement on the old level holds again.'),
    muted: z.boolean().describe('A mute covered it when it was raised.'),
    acknowledged: z
      .object({ by: z.string(), atMs: z.int(), note: z.string() })
      .nullable()
      .describe('The first to acknowledge it.'),
  })
  .meta({ id: 'Alert', description: 'A change of the level of a series: one network on one device.' });
export type AlertView = z.infer<typeof alertSchema>;

export const acknowledgeRequestSchema = z.strictObject({ note: z.string().max(textLimit).default('') });

export const muteRequestSchema = z.strictObject({
  device: z.string().max(200).optional().describe('Left out: all devices.'),
  network: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional()
    .describe('Its structure hash; left out: all networks.'),
  metric: z.enum(costMetrics).optional().describe('Left out: all metrics.'),
  untilMs: z.int().min(0).optional().describe('Left out: until somebody lifts it.'),
  note: z.string().max(textLimit).default(''),
});

export const muteSchema = z
  .object({
    id: z.string(),
    deviceId: z.string().nullable(),
    structureHash: z.string().nullable(),
    metric: z.enum(costMetrics).nullable(),
    untilMs: z.int().nullable(),
    note: z.string(),
    by: z.string(),
    createdMs: z.int(),
  })
  .meta({ id: 'AlertMute', description: 'Alerts to come that raise no attention; null covers all.' });
export type MuteView = z.infer<typeof muteSchema>;
