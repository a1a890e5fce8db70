import { z } from 'zod';
import type { JobId } from '../../core/ids.js';
import { jobStates } from '../../store/state-names.js';
import { jobSchema } from '../job-schemas.js';
import { viewJob, viewJobs } from '../job-views.js';
import { nextPage, pageLimit, pageSchema } from '../paging.js';
import { defineRoute } from '../route.js';
import { asDeviceId } from '../services.js';

const asJobId = (text: string): JobId => text as JobId;

export const jobRoutes = [
  defineRoute({
    method: 'get',
    path: '/jobs',
    summary: 'Jobs, newest first; those that ended long ago are forgotten, what they yielded is not',
    query: z.object({
      state: z.enum(jobStates).optional(),
      share: z.string().optional().describe('For example study:study-3, or people.'),
      device: z.string().optional().describe('Where they run, or ran last.'),
      before: z.string().optional().describe('Only what was submitted before this job.'),
      limit: pageLimit(100),
    }),
    answer: { status: 200, schema: pageSchema({ jobs: z.array(jobSchema) }) },
    handle: async ({ services, query }) => {
      const { state, share, device, before, limit } = query;
      const { jobs, total } = await services.jobs.list({
        ...(state !== undefined && { states: [state] }),
        ...(share !== undefined && { share }),
        ...(device !== undefined && { deviceId: asDeviceId(device) }),
        ...(before !== undefined && { before: asJobId(before) }),
        limit: limit + 1,
      });
      const shown = jobs.slice(0, limit);
      const next = jobs.length > limit ? { ...query, before: shown.at(-1)?.id } : null;
      return { jobs: await viewJobs(shown, services), total, next: nextPage('/jobs', next) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/jobs/{id}',
    summary: 'One job: its state, why it waits, what it yielded',
    answer: { status: 200, schema: jobSchema },
    handle: async ({ services, params }) => viewJob(await services.jobs.show(asJobId(params.id)), services),
  }),
  defineRoute({
    method: 'post',
    path: '/jobs/{id}/cancel',
    summary: 'End a job that waits or runs; the answer comes once it has ended',
    answer: { status: 200, schema: jobSchema },
    handle: async ({ services, params }) => viewJob(await services.jobs.cancel(asJobId(params.id)), services),
  }),
  defineRoute({
    method: 'post',
    path: '/jobs/{id}/retry',
    summary: 'Queue a failed or cancelled job anew',
    answer: { status: 200, schema: jobSchema },
    handle: async ({ services, params }) => viewJob(await services.jobs.retry(asJobId(params.id)), services),
  }),
];
