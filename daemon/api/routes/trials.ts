import { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import type { ArchitectureId } from '../../core/ids.js';
import { oneTrial } from '../../store/one-trial.js';
import { selectColumns, selectTrials, type TrialSelection } from '../../study/select-trials.js';
import type { Limit } from '../../study/winner.js';
import { nextPage, pageLimit, pageSchema } from '../paging.js';
import { defineRoute } from '../route.js';
import { besideSchema, columnsSchema, exportSchema, trialSchema } from '../schemas.js';
import { asStudyId } from '../services.js';
import { viewTrials } from '../views.js';

const { state: stateSchema } = trialSchema.shape;

function asTrialNumber(text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(number)) return number;
  throw new HildaError('REQUEST_INVALID', `${text} is not a trial number`);
}

/** What of a study's trials is asked for. */
const selectionFields = {
  from: z.coerce.number().int().min(0).default(0).describe('The first number wanted.'),
  state: z
    .string()
    .regex(new RegExp(`^(${stateSchema.options.join('|')})(,(${stateSchema.options.join('|')}))*$`))
    .optional()
    .describe(`Some of ${stateSchema.options.join(', ')}, separated by commas.`),
  where: z
    .string()
    .optional()
    .describe('Bounds such as `latencyUs<=2000,accuracy>=0.9`; a trial that lacks the metric keeps none.'),
};

function selectionOf({
  from,
  state,
  where,
}: {
  readonly from: number;
  readonly state?: string | undefined;
  readonly where?: string | undefined;
}): TrialSelection {
  return {
    fromNumber: from,
    ...(state !== undefined && { states: z.array(stateSchema).parse(state.split(',')) }),
    ...(where !== undefined && { limits: where.split(',').map(asLimit) }),
  };
}

function asLimit(text: string): Limit {
  const [, metric = '', relation = '', bound = ''] =
    /^\s*([\w@.:-]+?)\s*(<=|>=)\s*([-+\d.eE]+)\s*$/.exec(text) ?? [];
  if (metric !== '' && bound !== '' && Number.isFinite(Number(bound)))
    return { metric, relation: relation as Limit['relation'], bound: Number(bound) };
  throw new HildaError('REQUEST_INVALID', `where: ${text} is no bound such as latencyUs<=2000`);
}

export const trialRoutes = [
  defineRoute({
    method: 'get',
    path: '/studies/{id}/trials',
    summary: 'Trials, by number or in another order',
    query: z.object({
      ...selectionFields,
      limit: pageLimit(100),
      sort: z
        .string()
        .regex(/^-?[\w@.:-]+$/)
        .default('number')
        .describe(
          'By `number` or by a metric, ascending, or descending with a minus before it; trials without it are last.',
        ),
      after: z.coerce
        .number()
        .int()
        .min(0)
        .optional()
        .describe('Only what comes after this trial in the order asked for.'),
      architecture: z.string().optional().describe('The id of an architecture.'),
    }),
    answer: { status: 200, schema: pageSchema({ trials: z.array(trialSchema) }) },
    handle: async ({ services: { store }, params, query }) => {
      const { limit, sort, after, architecture } = query;
      const id = asStudyId(params.id);
      // An unknown study is told before anything else is read.
      await store.study(id);
      const ofArchitecture =
        architecture !== undefined &&
        (await store.trials(id, { architectureId: architecture as ArchitectureId }));
      const selected = selectTrials(
        await store.trialColumns(id),
        {
          ...selectionOf(query),
          ...(ofArchitecture && { numbers: new Set(ofArchitecture.map(({ number }) => number)) }),
        },
        { order: { by: sort.replace(/^-/, ''), descending: sort.startsWith('-') }, after, limit },
      );
      const found = await store.trials(id, { numbers: selected.numbers });
      const views = new Map((await viewTrials(found, id, store)).map((view) => [view.number, view]));
      const next = selected.hasMore ? { ...query, after: selected.numbers.at(-1) } : null;
      return {
        trials: selected.numbers.flatMap((number) => views.get(number) ?? []),
        total: selected.total,
        next: nextPage(`/studies/${encodeURIComponent(id)}/trials`, next),
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/studies/{id}/columns',
    summary: 'Values of some metrics of all trials that know them, as columns',
    query: z.object({
      ...selectionFields,
      metrics: z
        .string()
        .regex(/^[\w@.:-]+(,[\w@.:-]+){0,15}$/)
        .describe('Up to 16, separated by commas.'),
      limit: pageLimit(5000, 10_000),
    }),
    answer: { status: 200, schema: columnsSchema },
    handle: async ({ services: { store }, params, query }) => {
      const id = asStudyId(params.id);
      await store.study(id);
      const metrics = [...new Set(query.metrics.split(','))];
      const { numbers, values, total, hasMore } = selectColumns(
        await store.trialColumns(id),
        metrics,
        selectionOf(query),
        query.limit,
      );
      const next = hasMore ? { ...query, from: (numbers.at(-1) as number) + 1 } : null;
      return {
        numbers,
        columns: metrics.map((metric, i) => ({ metric, values: values[i] })),
        total,
        next: nextPage(`/studies/${encodeURIComponent(id)}/columns`, next),
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/studies/{id}/trials/{number}',
    summary: 'One trial',
    answer: { status: 200, schema: trialSchema },
    handle: async ({ services: { store }, params: { id, number } }) => {
      const trial = await oneTrial(asStudyId(id), asTrialNumber(number), store);
      const [view] = await viewTrials([trial], asStudyId(id), store);
      return view;
    },
  }),
  defineRoute({
    method: 'get',
    path: '/studies/{id}/trials/{number}/beside/{other}',
    summary: 'A trial beside another one of its study, by every metric that has intervals',
    answer: { status: 200, schema: z.object({ beside: z.array(besideSchema) }) },
    handle: async ({ services, params: { id, number, other } }) => ({
      beside: await services.studies.compare(asStudyId(id), [asTrialNumber(number), asTrialNumber(other)]),
    }),
  }),
  defineRoute({
    method: 'post',
    path: '/studies/{id}/trials/{number}/export',
    summary: "Cut the trial's sub-network out and keep it as a model, with the manifest of its measurements",
    answer: { status: 200, schema: exportSchema },
    handle: async ({ services, params }) => {
      const number = asTrialNumber(params.number);
      const { onnx, ...rest } = await services.studies.exportTrial(asStudyId(params.id), number);
      return { model: await services.blobs.put(onnx), bytes: onnx.byteLength, ...rest };
    },
  }),
];
