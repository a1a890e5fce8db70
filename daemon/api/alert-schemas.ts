import { z } from 'zod';
import { costMetrics } from '../core/measurement.js';
import { changeFields } from './history-schemas.js';

const textLimit = 500;

const raisedFields = {
  id: z.string(),
  raisedMs: z.int(),
  muted: z.boolean().describe('A mute covered it when it was raised.'),
  acknowledged: z
    .object({ by: z.string(), atMs: z.int(), note: z.string() })
    .nullable()
    .describe('The first to acknowledge it.'),
};

const changeAlertSchema = z
  .object({
    kind: z.literal('change'),
    ...raisedFields,
    deviceId: z.string(),
    structureHash: z.string().describe('Of the network.'),
    metric: z.enum(costMetrics),
    ...changeFields,
    returnedAt: z.string().nullable().describe('From this measurement on the old level holds again.'),
  })
  .meta({ id: 'ChangeAlert', description: 'A change of the level of a series: one network on one device.' });
export type ChangeAlertView = z.infer<typeof changeAlertSchema>;

const noticeAlertSchema = z
  .object({
    kind: z
      .enum(['quarantine', 'suite'])
      .describe('quarantine: a device was taken out of use. suite: a scheduled run broke a limit.'),
    ...raisedFields,
    subject: z.string().describe('The device, or the schedule.'),
    deviceId: z.string().nullable(),
    text: z.string().describe('One sentence.'),
    detail: z.json().describe('Of a quarantine its rule, of a suite its run and the limits that it broke.'),
    resolvedMs: z.int().nullable().describe('Since when its subject is well again.'),
  })
  .meta({
    id: 'NoticeAlert',
    description: 'A device in quarantine, or a scheduled suite that broke a limit.',
  });

export const alertSchema = z
  .discriminatedUnion('kind', [changeAlertSchema, noticeAlertSchema])
  .meta({ id: 'Alert', description: 'What people should know of.' });
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
