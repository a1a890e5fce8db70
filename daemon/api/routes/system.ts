import { z } from 'zod';
import { openApiDocument } from '../openapi.js';
import { nextPage, nextSchema, pageLimit } from '../paging.js';
import { Answer, defineRoute } from '../route.js';
import { eventSchema, healthSchema } from '../schemas.js';
import { checkTopics } from '../topics.js';
import { viewEvent } from '../views.js';

export const systemRoutes = [
  defineRoute({
    method: 'get',
    path: '/openapi.json',
    summary: 'This document',
    answer: { status: 200, schema: z.looseObject({ openapi: z.string() }) },
    handle: async ({ services: { version }, routes }) =>
      new Answer(openApiDocument(routes, version), { type: 'json' }),
  }),
  defineRoute({
    method: 'get',
    path: '/health',
    summary: 'Whether the daemon answers, and how far its events have come',
    answer: { status: 200, schema: healthSchema },
    handle: async ({ services: { version, clock, store, studies: service, plugins = [], faults } }) => {
      const [lastSeq, devices, studies] = await Promise.all([
        store.lastSeq(),
        store.devices(),
        service.list(),
      ]);
      const studiesRunning = studies.filter(({ state }) => state === 'running').length;
      return {
        status: 'ok',
        version,
        nowMs: clock.nowMs(),
        lastSeq,
        devices: devices.length,
        studiesRunning,
        plugins,
        faults: faults ? { rules: faults.rules, strikes: faults.strikes } : null,
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/events',
    summary: 'Events after a sequence number, in order; the ws channel /v1/ws pushes the same',
    query: z.object({
      since: z.coerce.number().int().min(0).default(0),
      limit: pageLimit(500),
      topics: z.string().optional().describe('Names separated by commas; a name may end in `.*`.'),
    }),
    answer: {
      status: 200,
      schema: z.object({
        events: z.array(eventSchema),
        firstSeq: z.int().describe('The oldest that is kept: what came before is forgotten.'),
        lastSeq: z.int(),
        next: nextSchema,
      }),
    },
    handle: async ({ services: { store }, query }) => {
      const { since, limit, topics } = query;
      const wanted = topics?.split(',');
      if (wanted) checkTopics(wanted);
      const [firstSeq, lastSeq] = await Promise.all([store.firstSeq(), store.lastSeq()]);
      const events = await store.events(since, { limit, ...(wanted && { topics: wanted }) });
      const last = events.at(-1)?.seq ?? 0;
      const next = events.length === limit && last < lastSeq ? { ...query, since: last } : null;
      return {
        events: events.map(viewEvent),
        firstSeq,
        lastSeq: Math.max(lastSeq, last),
        next: nextPage('/events', next),
      };
    },
  }),
];
