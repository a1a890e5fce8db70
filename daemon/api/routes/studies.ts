import { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import { defineRoute } from '../route.js';
import { exportSchema, frontRowSchema, studySchema, studySummarySchema, trialSchema } from '../schemas.js';
import { asStudyId, type StudyPort } from '../services.js';
import { viewStudy, viewSummary } from '../views.js';

const action = <Name extends 'pause' | 'resume' | 'stop'>(
  name: Name,
  summary: string,
  act: (studies: StudyPort, id: ReturnType<typeof asStudyId>) => ReturnType<StudyPort['pause']>,
) =>
  defineRoute({
    method: 'post',
    path: `/studies/{id}/${name}`,
    summary,
    answer: { status: 200, schema: studySchema },
    handle: async ({ services, params }) =>
      viewStudy(await act(services.studies, asStudyId((params as { id: string }).id))),
  });

export const studyRoutes = [
  defineRoute({
    method: 'post',
    path: '/studies',
    summary: 'Start a study; whatever can be refused is refused before the first trial',
    // The study's own parser reports every wrong field under SPEC_INVALID; a second schema here would only disagree.
    body: z.json().meta({ description: 'A study specification: see docs/cli.md, `search start`.' }),
    answer: { status: 201, schema: studySchema },
    handle: async ({ services, body }) => viewStudy(await services.studies.create(body)),
  }),
  defineRoute({
    method: 'get',
    path: '/studies',
    summary: 'Every study',
    answer: { status: 200, schema: z.object({ studies: z.array(studySchema) }) },
    handle: async ({ services }) => ({ studies: (await services.studies.list()).map(viewStudy) }),
  }),
  defineRoute({
    method: 'get',
    path: '/studies/{id}',
    summary: 'A study, how far it is and how good its front',
    answer: { status: 200, schema: studySummarySchema },
    handle: async ({ services, params }) => viewSummary(await services.studies.show(asStudyId(params.id))),
  }),
  defineRoute({
    method: 'get',
    path: '/studies/{id}/trials',
    summary: 'Trials, by number',
    query: z.object({
      from: z.coerce.number().int().min(0).default(0).describe('The first number wanted.'),
      limit: z.coerce.number().int().min(1).max(10_000).default(1000),
    }),
    answer: { status: 200, schema: z.object({ trials: z.array(trialSchema) }) },
    handle: async ({ services, params, query: { from, limit } }) => ({
      trials: await services.studies.trials(asStudyId(params.id), { fromNumber: from, limit }),
    }),
  }),
  defineRoute({
    method: 'get',
    path: '/studies/{id}/front',
    summary: 'The Pareto front; every point of it was measured',
    answer: { status: 200, schema: z.object({ front: z.array(frontRowSchema) }) },
    handle: async ({ services, params }) => ({ front: await services.studies.front(asStudyId(params.id)) }),
  }),
  action('pause', 'Stop asking; what is known stays, and resume goes on from it', (studies, id) =>
    studies.pause(id),
  ),
  action('resume', 'Go on with a paused or failed study', (studies, id) => studies.resume(id)),
  action('stop', 'End a study for good', (studies, id) => studies.stopStudy(id)),
  defineRoute({
    method: 'get',
    path: '/studies/{id}/trials/{number}/export',
    summary: "Cut the trial's sub-network out and keep it as a model, with the manifest of its measurements",
    answer: { status: 200, schema: exportSchema },
    handle: async ({ services, params }) => {
      const number = Number(params.number);
      if (!Number.isSafeInteger(number) || number < 0)
        throw new HildaError('REQUEST_INVALID', `${params.number} is not a trial number`);
      const { onnx, manifest } = await services.studies.exportTrial(asStudyId(params.id), number);
      return { model: await services.blobs.put(onnx), bytes: onnx.byteLength, manifest };
    },
  }),
];
