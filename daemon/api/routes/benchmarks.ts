import { z } from 'zod';
import { documentOf, reportSchema } from '../../benchmarks/reports/document.js';
import { parseSuite, suiteSchema } from '../../benchmarks/suites/suite.js';
import {
  baselineSchema,
  benchmarkCaseSchema,
  benchmarkImportSchema,
  benchmarkRunSchema,
  viewBenchmarkCase,
  viewBenchmarkRun,
} from '../benchmark-schemas.js';
import { nextPage, pageLimit, pageSchema } from '../paging.js';
import { Answer, defineRoute } from '../route.js';
import type { DaemonServices } from '../services.js';

const baselinesOf = async ({ store }: Pick<DaemonServices, 'store'>): Promise<ReadonlySet<string>> =>
  new Set((await store.baselines()).map(({ run }) => run));

export const benchmarkRoutes = [
  defineRoute({
    method: 'post',
    path: '/benchmarks',
    summary: 'Run a suite: networks on devices, as jobs; the answer is the run, to look at',
    body: z.unknown(),
    described: suiteSchema,
    answer: { status: 201, schema: benchmarkRunSchema, location: true },
    handle: async ({ services, body }) => {
      const run = await services.benchmarks.start(parseSuite(suiteSchema, body, 'the suite'));
      return new Answer(viewBenchmarkRun(run, new Set()), { location: `/v1/benchmarks/${run.id}` });
    },
  }),
  defineRoute({
    method: 'post',
    path: '/benchmarks/imports',
    summary: 'Keep figures that somebody else published as a run, provenance `imported`',
    body: benchmarkImportSchema,
    answer: { status: 201, schema: benchmarkRunSchema, location: true },
    handle: async ({ services, body: { suite, files, device } }) => {
      const run = await services.benchmarks.import(suite, files, device);
      return new Answer(viewBenchmarkRun(run, new Set()), { location: `/v1/benchmarks/${run.id}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/benchmarks',
    summary: 'Runs of suites, newest first',
    query: z.object({
      suite: z.string().optional(),
      before: z.string().optional().describe('Only runs older than this one.'),
      limit: pageLimit(100),
    }),
    answer: { status: 200, schema: pageSchema({ runs: z.array(benchmarkRunSchema) }) },
    handle: async ({ services, query }) => {
      const { suite, before, limit } = query;
      const { store } = services;
      const [runs, total, baselines] = await Promise.all([
        store.benchmarkRuns({
          limit: limit + 1,
          ...(suite !== undefined && { suite }),
          ...(before !== undefined && { before }),
        }),
        store.benchmarkRunCount(suite),
        baselinesOf(services),
      ]);
      const shown = runs.slice(0, limit).map((run) => viewBenchmarkRun(run, baselines));
      const next = runs.length > limit ? { ...query, before: shown.at(-1)?.id } : null;
      return { runs: shown, total, next: nextPage('/benchmarks', next) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/benchmarks/{id}',
    summary: 'How far a run is',
    answer: { status: 200, schema: benchmarkRunSchema },
    handle: async ({ services, params }) =>
      viewBenchmarkRun(await services.benchmarks.show(params.id), await baselinesOf(services)),
  }),
  defineRoute({
    method: 'get',
    path: '/benchmarks/{id}/cases',
    summary: 'The measurements of a run: those that are open, taken, and failed',
    query: z.object({ from: z.coerce.number().int().min(0).default(0), limit: pageLimit(200) }),
    answer: { status: 200, schema: pageSchema({ cases: z.array(benchmarkCaseSchema) }) },
    handle: async ({ services: { benchmarks, store }, params, query }) => {
      const { from, limit } = query;
      const { id, of: total } = await benchmarks.show(params.id);
      const cases = (await store.benchmarkCases(id, { from, limit })).map(viewBenchmarkCase);
      const next = from + limit < total ? { ...query, from: from + limit } : null;
      return { cases, total, next: nextPage(`/benchmarks/${id}/cases`, next) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/benchmarks/{id}/report',
    summary: 'What a run says: figures, limits, and the comparison with an earlier run',
    query: z.object({
      with: z
        .string()
        .optional()
        .describe(
          'An earlier run, `baseline` for that of the suite, or `last` for the run before; left out, none is compared with.',
        ),
    }),
    answer: { status: 200, schema: reportSchema },
    handle: async ({ services, params, query }) =>
      documentOf(await services.benchmarks.report(params.id, query.with ?? null)),
  }),
  defineRoute({
    method: 'post',
    path: '/benchmarks/{id}/cancel',
    summary: 'End a run, with its jobs; what was measured stays',
    answer: { status: 200, schema: benchmarkRunSchema },
    handle: async ({ services, params }) =>
      viewBenchmarkRun(await services.benchmarks.cancel(params.id), await baselinesOf(services)),
  }),
  defineRoute({
    method: 'post',
    path: '/benchmarks/{id}/baseline',
    summary: 'Hold later runs of the suite against this one',
    answer: { status: 200, schema: baselineSchema },
    handle: async ({ services, params }) => services.benchmarks.setBaseline(params.id),
  }),
];
