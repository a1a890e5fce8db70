import { z } from 'zod';
import type { DeliveryId, WebhookId } from '../../core/ids.js';
import { listQuery, nextPage, pageLimit, pageOf, pageSchema } from '../paging.js';
import { Answer, defineRoute } from '../route.js';
import {
  deliverySchema,
  digestSchema,
  newWebhookSchema,
  webhookRequestSchema,
  webhookSchema,
} from '../webhook-schemas.js';
import { viewAlert } from './alerts.js';

const asWebhookId = (text: string): WebhookId => text as WebhookId;

// Addresses of chats hold secrets: all of this takes the scope admin.
export const webhookRoutes = [
  defineRoute({
    method: 'get',
    path: '/webhooks',
    summary: 'Addresses that hear of alerts, oldest first',
    scope: 'admin',
    query: z.object(listQuery),
    answer: { status: 200, schema: pageSchema({ webhooks: z.array(webhookSchema) }) },
    handle: async ({ services: { store }, query }) => {
      const { rows, ...page } = pageOf(await store.webhooks(), query, {
        path: '/webhooks',
        idOf: ({ id }) => id,
      });
      return { webhooks: rows, ...page };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/webhooks',
    summary:
      'Send alerts, and a digest once a day, to an address; the secret that signs them is shown this once',
    scope: 'admin',
    body: webhookRequestSchema,
    answer: { status: 201, schema: newWebhookSchema, secret: true, location: true },
    handle: async ({ services: { webhooks }, body: { url }, caller }) => {
      const { webhook, secret } = await webhooks.add(url, caller.name);
      return new Answer({ ...webhook, secret }, { location: `/v1/webhooks/${webhook.id}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/webhooks/{id}',
    summary: 'One webhook, without its secret',
    scope: 'admin',
    answer: { status: 200, schema: webhookSchema },
    handle: ({ services: { store }, params }) => store.webhook(asWebhookId(params.id)),
  }),
  defineRoute({
    method: 'get',
    path: '/webhooks/{id}/deliveries',
    summary: 'Messages to a webhook, newest first',
    scope: 'admin',
    query: z.object({
      before: z.string().optional().describe('Only those queued before this one.'),
      limit: pageLimit(100),
    }),
    answer: { status: 200, schema: pageSchema({ deliveries: z.array(deliverySchema) }) },
    handle: async ({ services: { store }, params, query }) => {
      const { id: webhookId } = await store.webhook(asWebhookId(params.id));
      const { before, limit } = query;
      const found = await store.deliveries({
        webhookId,
        ...(before !== undefined && { before: before as DeliveryId }),
        limit: limit + 1,
      });
      const shown = found.slice(0, limit);
      const next = found.length > limit ? { ...query, before: shown.at(-1)?.id } : null;
      return {
        deliveries: shown,
        total: await store.deliveryCount(webhookId),
        next: nextPage(`/webhooks/${webhookId}/deliveries`, next),
      };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/webhooks/{id}/test',
    summary: 'Send a message that says only that it is a test; its fate is among the deliveries',
    scope: 'admin',
    answer: { status: 200, schema: webhookSchema },
    handle: async ({ services: { store, webhooks }, params }) => {
      await webhooks.test(asWebhookId(params.id));
      return store.webhook(asWebhookId(params.id));
    },
  }),
  defineRoute({
    method: 'post',
    path: '/webhooks/{id}/remove',
    summary: 'Send nothing there any more; what waits goes with it',
    scope: 'admin',
    answer: { status: 200, schema: webhookSchema },
    handle: ({ services: { store }, params }) => store.removeWebhook(asWebhookId(params.id)),
  }),
  defineRoute({
    method: 'get',
    path: '/digest',
    summary: 'What happened since the last digest that was sent',
    answer: { status: 200, schema: digestSchema },
    handle: async ({ services: { digests } }) => {
      const digest = await digests.compose();
      return { ...digest, newest: digest.newest.map(viewAlert) };
    },
  }),
];
