import { z } from 'zod';
import type { Json } from '../../core/json.js';
import { listQuery, pageLimit, pageOf, pageSchema } from '../paging.js';
import { Answer, defineRoute } from '../route.js';
import {
  firingListSchema,
  scheduleEntrySchema,
  scheduleRequestSchema,
  viewFiring,
  viewSchedule,
} from '../schedule-schemas.js';

export const scheduleRoutes = [
  defineRoute({
    method: 'post',
    path: '/schedules',
    summary: 'Do something at fixed times: a suite, a probe, a health check, a backup',
    scope: 'admin',
    body: scheduleRequestSchema,
    answer: { status: 201, schema: scheduleEntrySchema, location: true },
    handle: async ({ services, body }) => {
      const { name, kind, cron, timezone, window, catchUp, ...request } = body;
      const timing = { cron, timezone, catchUp, ...(window && { window }) };
      const plain = JSON.parse(JSON.stringify(request)) as Json;
      const added = await services.calendar.add({ name, kind, timing, request: plain });
      return new Answer(viewSchedule(added), { location: `/v1/schedules/${encodeURIComponent(name)}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/schedules',
    summary: 'Schedules by name, with their next firing and what came of the last',
    query: z.object(listQuery),
    answer: { status: 200, schema: pageSchema({ schedules: z.array(scheduleEntrySchema) }) },
    handle: async ({ services, query }) => {
      const known = await services.calendar.list();
      const { rows, total, next } = pageOf(known, query, { path: '/schedules', idOf: ({ name }) => name });
      return { schedules: rows.map(viewSchedule), total, next };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/schedules/{name}',
    summary: 'One schedule',
    answer: { status: 200, schema: scheduleEntrySchema },
    handle: async ({ services, params }) => viewSchedule(await services.calendar.show(params.name)),
  }),
  defineRoute({
    method: 'get',
    path: '/schedules/{name}/firings',
    summary: 'What came of each firing, newest first, those missed and skipped included',
    query: z.object({
      beforeMs: z.coerce.number().int().optional().describe('Only firings planned before this moment.'),
      limit: pageLimit(100),
    }),
    answer: { status: 200, schema: z.object(firingListSchema) },
    handle: async ({ services: { store }, params, query: { beforeMs, limit } }) => ({
      firings: (await store.firings(params.name, { limit, ...(beforeMs !== undefined && { beforeMs }) })).map(
        viewFiring,
      ),
    }),
  }),
  ...(['pause', 'resume'] as const).map((act) =>
    defineRoute({
      method: 'post',
      path: `/schedules/{name}/${act}`,
      summary: act === 'pause' ? 'Fire no more until resumed' : 'Fire again from now on',
      scope: 'admin',
      answer: { status: 200, schema: scheduleEntrySchema },
      handle: async ({ services, params }) =>
        viewSchedule(await services.calendar[act]((params as { name: string }).name)),
    }),
  ),
  defineRoute({
    method: 'post',
    path: '/schedules/{name}/remove',
    summary: 'Forget a schedule and its firings; work that is under way goes on',
    scope: 'admin',
    answer: { status: 200, schema: scheduleEntrySchema },
    handle: async ({ services, params }) => {
      const known = await services.calendar.show(params.name);
      await services.calendar.remove(params.name);
      return viewSchedule(known);
    },
  }),
];
