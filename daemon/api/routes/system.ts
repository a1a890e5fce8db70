import { z } from 'zod';
import { defineRoute } from '../route.js';
import { eventSchema, healthSchema } from '../schemas.js';
import { viewEvent } from '../views.js';

export const systemRoutes = [
  defineRoute({
    method: 'get',
    path: '/health',
    summary: 'Whether the daemon answers, and how far its events have come',
    answer: { status: 200, schema: healthSchema },
    handle: async ({ services: { version, clock, store } }) => {
      const [lastSeq, devices, studies] = await Promise.all([
        store.lastSeq(),
        store.devices(),
        store.studies(),
      ]);
      const studiesRunning = studies.filter(({ state }) => state === 'running').length;
      return {
        status: 'ok',
        version,
        nowMs: clock.nowMs(),
        lastSeq,
        devices: devices.length,
        studiesRunning,
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/events',
    summary: 'Events after a sequence number, in order; the ws channel /v1/ws pushes the same',
    query: z.object({
      since: z.coerce.number().int().min(0).default(0),
      limit: z.coerce.number().int().min(1).max(1000).default(500),
      topics: z.string().optional().describe('Names separated by commas; a name may end in `.*`.'),
    }),
    answer: { status: 200, schema: z.object({ events: z.array(eventSchema), lastSeq: z.number() }) },
    handle: async ({ services: { store }, query: { since, limit, topics } }) => {
      const lastSeq = await store.lastSeq();
      const events = await store.events(since, {
        limit,
        ...(topics === undefined ? {} : { topics: topics.split(',') }),
      });
      return { events: events.map(viewEvent), lastSeq: Math.max(lastSeq, events.at(-1)?.seq ?? 0) };
    },
  }),
];
