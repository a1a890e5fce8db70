import { z } from 'zod';
import { forgottenSchema, pruneRequestSchema, retentionSchema } from '../retention-schemas.js';
import { defineRoute } from '../route.js';

export const retentionRoutes = [
  defineRoute({
    method: 'get',
    path: '/retention',
    summary: 'What is forgotten, and when',
    answer: { status: 200, schema: z.object({ policy: retentionSchema }) },
    handle: async ({ services }) => ({ policy: services.retention.policy }),
  }),
  defineRoute({
    method: 'post',
    path: '/retention/prune',
    summary:
      'Forget old events, and devices that were never used, by the policy; with dryRun, only count them',
    scope: 'admin',
    body: pruneRequestSchema,
    answer: { status: 200, schema: forgottenSchema },
    handle: ({ services, body }) => services.retention.prune(body),
  }),
];
