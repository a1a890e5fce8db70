import { z } from 'zod';
import type { StudyId } from '../../core/ids.js';
import { givenValueSchema } from '../../evaluate/given-values.js';
import type { Exchange } from '../../study/outside-exchange.js';
import { defineRoute } from '../route.js';
import { decisionSchema, studySchema, trialSchema } from '../schemas.js';
import { asStudyId, type DaemonServices } from '../services.js';
import { viewTrials } from '../views.js';

const architectureSchema = z.union([z.array(z.number().int()), z.record(z.string(), z.json())]);
const trialNumber = z.number().int().min(0);
const reason = z.string().max(10_000);
const waitMs = z
  .number()
  .int()
  .min(0)
  .max(60_000)
  .default(30_000)
  .describe('Answers at the latest after this time, with what there is.');

const stepSchema = z.strictObject({
  number: trialNumber,
  step: z.number().int().min(0).max(1_000_000_000).describe('For example the epoch.'),
  value: z.number(),
});

const resultSchema = z.union([
  z.strictObject({
    number: trialNumber,
    values: z.record(z.string(), givenValueSchema),
    constraints: z
      .array(z.number())
      .max(100)
      .optional()
      .describe(
        'One number a limit of your own; at most 0 keeps it, as in Optuna. One above 0 makes the trial infeasible.',
      ),
  }),
  z.strictObject({
    number: trialNumber,
    state: z
      .enum(['failed', 'infeasible', 'pruned'])
      .describe('`pruned`: a training that was cut off; the trial is failed, since no value is known.'),
    reason,
  }),
]);

const exchangeSchema = z.object({ state: studySchema.shape.state, trials: z.array(trialSchema) });

const viewExchange = async ({ state, trials }: Exchange, id: StudyId, { store }: DaemonServices) => ({
  state,
  trials: await viewTrials(trials, id, store),
});

/** For searches and evaluations by programs of somebody else. */
export const outsideRoutes = [
  defineRoute({
    method: 'get',
    path: '/studies/{id}/decisions',
    summary:
      'What an architecture of the study decides: names, choices, and which of them are numbers in order',
    answer: {
      status: 200,
      schema: z.object({
        spaceId: z.string(),
        decisions: z
          .array(decisionSchema)
          .nullable()
          .describe('Null for grammars, where each decision creates the next.'),
      }),
    },
    handle: ({ services, params }) => services.studies.decisions(asStudyId(params.id)),
  }),
  defineRoute({
    method: 'post',
    path: '/studies/{id}/ask',
    summary: 'For programs that search or evaluate: hand in proposals, or ask which trials wait for a result',
    body: z.strictObject({
      n: z.number().int().min(1).max(1000).default(10).describe('At most so many waiting trials.'),
      minimum: z
        .number()
        .int()
        .min(1)
        .max(1000)
        .optional()
        .describe('Wait for so many of them, or until no other is being measured; default n.'),
      except: z.array(trialNumber).max(10_000).default([]).describe('Trials that the caller has already.'),
      holder: z
        .string()
        .min(1)
        .max(100)
        .optional()
        .describe('Who takes the trials: no other holder is given them for `holdMs`.'),
      holdMs: z
        .number()
        .int()
        .min(1000)
        .max(30 * 86_400_000)
        .default(3_600_000)
        .describe('Without a word; each intermediate value starts the time anew.'),
      proposals: z
        .array(
          z.strictObject({ architecture: architectureSchema, note: z.string().max(200).default('outside') }),
        )
        .min(1)
        .max(1000)
        .optional()
        .describe('For a study with `sampler: {name: external}`.'),
      waitMs,
    }),
    answer: { status: 200, schema: exchangeSchema },
    handle: async ({ services, params, body: { proposals, minimum, holder, ...rest }, signal }) => {
      const id = asStudyId(params.id);
      const request = {
        ...rest,
        ...(proposals && { proposals }),
        ...(minimum !== undefined && { minimum }),
        ...(holder !== undefined && { holder }),
      };
      return viewExchange(await services.studies.ask(id, request, { signal }), id, services);
    },
  }),
  defineRoute({
    method: 'post',
    path: '/studies/{id}/tell',
    summary: 'Give trials results from outside, and hear of trials once they are finished; may be repeated',
    body: z.strictObject({
      results: z
        .array(resultSchema)
        .max(1000)
        .default([])
        .describe(
          'For a study with `evaluator: {kind: external}`. All are kept or none; what is known and equal changes nothing.',
        ),
      intermediateValues: z
        .array(stepSchema)
        .max(10_000)
        .default([])
        .describe('Values on the way to results, for pruning; kept under the same rule.'),
      numbers: z.array(trialNumber).max(1000).default([]).describe('Trials to wait for.'),
      minimum: z
        .number()
        .int()
        .min(0)
        .max(1000)
        .optional()
        .describe('Wait until so many of them have ended; default all.'),
      waitMs,
    }),
    answer: { status: 200, schema: exchangeSchema },
    handle: async ({ services, params, body, signal }) => {
      const { results, intermediateValues, numbers, minimum, waitMs } = body;
      const id = asStudyId(params.id);
      const request = {
        results: results.map(({ number, ...result }) => ({ number, result })),
        steps: intermediateValues,
        numbers,
        waitMs,
        ...(minimum !== undefined && { minimum }),
      };
      return viewExchange(await services.studies.tell(id, request, { signal }), id, services);
    },
  }),
];
