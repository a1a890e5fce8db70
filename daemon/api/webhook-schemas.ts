import { z } from 'zod';
import { deliveryStates } from '../store/state-names.js';
import { alertSchema } from './alert-schemas.js';

export const webhookSchema = z
  .object({
    id: z.string(),
    url: z.string(),
    by: z.string(),
    createdMs: z.int(),
    disabled: z.string().nullable().describe('Why nothing is sent there any more.'),
  })
  .meta({ id: 'Webhook', description: 'An address that hears of alerts, and of a digest once a day.' });

export const webhookRequestSchema = z.strictObject({ url: z.string().min(1).max(2000) });

export const newWebhookSchema = webhookSchema.extend({
  secret: z.string().describe('Signs each message; shown this once.'),
});

export const deliverySchema = z
  .object({
    id: z.string(),
    webhookId: z.string(),
    kind: z.string().describe('alert, alert-returned, digest, test.'),
    body: z.json(),
    attempt: z.int().describe('How often it was sent.'),
    state: z.enum(deliveryStates),
    nextMs: z.int().describe('When a waiting one is sent, at the earliest.'),
    error: z.string().nullable().describe('Why the last attempt failed.'),
    createdMs: z.int(),
    endedMs: z.int().nullable(),
  })
  .meta({ id: 'Delivery', description: 'One message to one webhook.' });

export const digestSchema = z
  .object({
    fromMs: z.int(),
    untilMs: z.int(),
    measurements: z.record(z.string(), z.int()).readonly().describe('How many there were, by verdict.'),
    raised: z.int().describe('Alerts since, without those that were muted.'),
    open: z.int().describe('Alerts that nobody acknowledged, of any age.'),
    newest: z.array(alertSchema).readonly().describe('At most ten of the open ones.'),
    away: z.array(z.string()).readonly().describe('Devices in use that are not here.'),
    quarantined: z.array(z.object({ id: z.string(), reason: z.string().nullable() })).readonly(),
  })
  .meta({ id: 'Digest', description: 'What happened since the last digest that was sent to webhooks.' });
export type DigestView = z.infer<typeof digestSchema>;
