import { z } from 'zod';
import type { Architecture } from '../../core/architecture.js';
import type { PredictorId } from '../../core/ids.js';
import { formatTable } from '../../predict/tables/table-formats.js';
import { readBody } from '../../predictors/predictor-body.js';
import { detailOf, type PredictorInsight } from '../../predictors/predictor-insight.js';
import { probeScheduleSchema } from '../../predictors/probe-schedule.js';
import type { StoredPredictor } from '../../predictors/stored-predictor.js';
import type { PredictorRecord } from '../../store/contract.js';
import { listQuery, pageOf, pageSchema } from '../paging.js';
import {
  campaignRequestSchema,
  campaignSchema,
  driftSchema,
  figuresSchema,
  importRequestSchema,
  type PredictorDetailView,
  type PredictorView,
  predictionsSchema,
  predictorDetailSchema,
  predictorSchema,
  predictRequestSchema,
  probeRequestSchema,
  scheduleSchema,
  tableQuerySchema,
  tableSchema,
} from '../predictor-schemas.js';
import { Answer, defineRoute } from '../route.js';
import { showCampaign } from '../show-campaign.js';

const asPredictorId = (text: string): PredictorId => text as PredictorId;

const unitOf = (metric: string): 'us' | 'cycles' | 'instructions' =>
  metric === 'cycles' || metric === 'instructions' ? metric : 'us';

function viewPredictor(record: PredictorRecord): PredictorView {
  const { body, ...rest } = record;
  const { provenance, samples } = readBody({ id: record.id, body });
  return { ...rest, provenance, samples: samples.length };
}

type Detail = Omit<PredictorInsight, 'figures'>;

function viewDetail(
  record: PredictorRecord,
  { report, score, drift, cautions }: Detail,
): PredictorDetailView {
  const { model, transform, candidates } = report;
  return {
    ...viewPredictor(record),
    model,
    transform,
    candidates: { ...candidates },
    score,
    drift,
    cautions: [...cautions],
  };
}

/** Of one that is fitted here already. */
const viewOpened = (predictor: StoredPredictor): PredictorDetailView =>
  viewDetail(predictor.record, detailOf(predictor));

export const predictorRoutes = [
  defineRoute({
    method: 'post',
    path: '/campaigns',
    summary:
      'Measure random networks of a space on a device, for a predictor or a table; look at the campaign for the outcome',
    body: campaignRequestSchema,
    answer: { status: 202, schema: campaignSchema, location: true },
    handle: async ({ services, body }) => {
      const campaign = showCampaign(await services.predictors.train(body));
      return new Answer(campaign, { location: `/v1/campaigns/${campaign.id}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/predictors',
    summary: 'Every predictor',
    query: z.object({ device: z.string().optional(), ...listQuery }),
    answer: { status: 200, schema: pageSchema({ predictors: z.array(predictorSchema) }) },
    handle: async ({ services, query }) => {
      // A damaged one is left out here and refused by name where it is asked for.
      const known = (await services.predictors.list()).flatMap((record) => {
        try {
          return [viewPredictor(record)];
        } catch {
          return [];
        }
      });
      const { rows, ...page } = pageOf(known, query, {
        path: '/predictors',
        idOf: ({ id }) => id,
        unknown: 'PREDICTOR_UNKNOWN',
        fits: ({ deviceId }) => query.device === undefined || deviceId === query.device,
      });
      return { predictors: rows, ...page };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/predictors/import',
    summary: 'Keep a published latency table as a predictor of a device, provenance `imported`',
    body: importRequestSchema,
    answer: { status: 201, schema: predictorDetailSchema, location: true },
    handle: async ({ services, body }) => {
      const view = viewOpened(await services.predictors.importTable(body));
      return new Answer(view, { location: `/v1/predictors/${view.id}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/predictors/{id}',
    summary: 'One predictor: model, cross-validated score, drift',
    answer: { status: 200, schema: predictorDetailSchema },
    handle: async ({ services, params }) => {
      const { record, insight } = await services.predictors.insight(asPredictorId(params.id));
      return viewDetail(record, insight);
    },
  }),
  defineRoute({
    method: 'get',
    path: '/predictors/{id}/figures',
    summary: 'Predicted against measured, residuals, reliability and learning curve',
    answer: { status: 200, schema: figuresSchema },
    handle: async ({ services, params }) =>
      (await services.predictors.insight(asPredictorId(params.id))).insight.figures,
  }),
  defineRoute({
    method: 'post',
    path: '/predictors/{id}/predict',
    summary: 'Mean and 90 % interval for each architecture',
    body: predictRequestSchema,
    answer: { status: 200, schema: predictionsSchema },
    handle: async ({ services, params, body }) => {
      const id = asPredictorId(params.id);
      const { mean, low, high } = await services.predictors.predict(
        id,
        body.architectures as Architecture[],
        body.device,
      );
      const predictor = await services.predictors.open(id);
      return {
        provenance: 'predicted' as const,
        predictor: id,
        unit: unitOf(predictor.record.metric),
        predictions: Array.from(mean, (value, i) => ({
          mean: value,
          low: low[i] as number,
          high: high[i] as number,
        })),
        cautions: predictor.cautions(),
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/predictors/{id}/drift',
    summary: 'Whether live measurements still lie where the predictor says',
    answer: { status: 200, schema: driftSchema },
    handle: async ({ services, params }) =>
      (await services.predictors.open(asPredictorId(params.id))).drift(),
  }),
  defineRoute({
    method: 'post',
    path: '/predictors/{id}/probe',
    summary: 'Measure a few networks that the predictor has not seen, to find drift',
    body: probeRequestSchema,
    answer: { status: 202, schema: campaignSchema, location: true },
    handle: async ({ services, params, body }) => {
      const campaign = showCampaign(
        await services.predictors.probe(asPredictorId(params.id), body.count, body.seed),
      );
      return new Answer(campaign, { location: `/v1/campaigns/${campaign.id}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/predictors/{id}/schedule',
    summary: 'When the predictor is probed, and what the latest probe found',
    answer: { status: 200, schema: scheduleSchema },
    handle: async ({ services, params }) => {
      const { id } = await services.store.predictor(asPredictorId(params.id));
      return { schedule: await services.schedules.of(id) };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/predictors/{id}/schedule',
    summary: 'Probe the predictor at fixed times; in place of an earlier schedule',
    body: probeScheduleSchema,
    answer: { status: 200, schema: scheduleSchema },
    handle: async ({ services, params, body }) => ({
      schedule: await services.schedules.set(asPredictorId(params.id), body),
    }),
  }),
  defineRoute({
    method: 'post',
    path: '/predictors/{id}/schedule/end',
    summary: 'Probe no more',
    answer: { status: 200, schema: scheduleSchema },
    handle: async ({ services, params }) => {
      const { id } = await services.store.predictor(asPredictorId(params.id));
      await services.schedules.clear(id);
      return { schedule: null };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/predictors/{id}/refit',
    summary: 'Learn from the live measurements too; the drift alarm starts anew',
    answer: { status: 200, schema: predictorDetailSchema },
    handle: async ({ services, params }) =>
      viewOpened(await services.predictors.refit(asPredictorId(params.id))),
  }),
  defineRoute({
    method: 'get',
    path: '/predictors/{id}/table',
    summary: 'A latency table in one of the published formats, with the test of its additivity',
    query: tableQuerySchema,
    answer: { status: 200, schema: tableSchema },
    handle: async ({ services, params, query: { format, keys } }) => {
      const { named, additivity } = await services.predictors.table(asPredictorId(params.id), keys);
      return { format, text: formatTable(named, format), entries: named.table.size, additivity };
    },
  }),
];
