import { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import type { ArchitectureId } from '../../core/ids.js';
import { oneTrial } from '../../store/one-trial.js';
import { nextPage, pageLimit, pageSchema } from '../paging.js';
import { defineRoute } from '../route.js';
import { besideSchema, exportSchema, trialSchema } from '../schemas.js';
import { asStudyId } from '../services.js';
import { viewTrials } from '../views.js';

const { state: stateSchema } = trialSchema.shape;

function asTrialNumber(text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(number)) return number;
  throw new HildaError('REQUEST_INVALID', `${text} is not a trial number`);
}

export const trialRoutes = [
  defineRoute({
    method: 'get',
    path: '/studies/{id}/trials',
    summary: 'Trials, by number',
    query: z.object({
      from: z.coerce.number().int().min(0).default(0).describe('The first number wanted.'),
      limit: pageLimit(1000, 10_000),
      state: z
        .string()
        .regex(new RegExp(`^(${stateSchema.options.join('|')})(,(${stateSchema.options.join('|')}))*$`))
        .optional()
        .describe(`Some of ${stateSchema.options.join(', ')}, separated by commas.`),
      architecture: z.string().optional().describe('The id of an architecture.'),
    }),
    answer: { status: 200, schema: pageSchema({ trials: z.array(trialSchema) }) },
    handle: async ({ services: { studies, store }, params, query }) => {
      const { from, limit, state, architecture } = query;
      const id = asStudyId(params.id);
      const filter = {
        ...(state !== undefined && { states: z.array(stateSchema).parse(state.split(',')) }),
        ...(architecture !== undefined && { architectureId: architecture as ArchitectureId }),
      };
      // One after the other: an unknown study is told once.
      const trials = await studies.trials(id, { ...filter, fromNumber: from, limit: limit + 1 });
      const total = await store.trialCount(id, filter);
      const next = trials.length > limit ? { ...query, from: trials[limit]?.number } : null;
      return {
        trials: await viewTrials(trials.slice(0, limit), id, store),
        total,
        next: nextPage(`/studies/${encodeURIComponent(id)}/trials`, next),
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
