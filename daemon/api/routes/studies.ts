import { z } from 'zod';
import { studySpecSchema } from '../../study/spec.js';
import { checkConsent } from '../consent.js';
import { listQuery, pageOf, pageSchema } from '../paging.js';
import { Answer, defineRoute } from '../route.js';
import { frontsSchema, studySchema, studySummarySchema } from '../schemas.js';
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
    summary: 'Start a study; what can be refused is refused before the first trial',
    // The study's own parser reports every wrong field under SPEC_INVALID.
    body: z.json(),
    described: studySpecSchema.meta({
      id: 'StudySpec',
      description: 'A study specification: docs/cli.md, `search start`, tells what each field means.',
    }),
    answer: { status: 201, schema: studySchema, location: true },
    handle: async ({ services, body, caller }) => {
      checkConsent(body, caller, services.allowedEvaluators);
      const study = viewStudy(await services.studies.create(body));
      return new Answer(study, { location: `/v1/studies/${study.id}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/studies',
    summary: 'Every study',
    query: z.object({
      state: studySchema.shape.state.optional(),
      ...listQuery,
    }),
    answer: { status: 200, schema: pageSchema({ studies: z.array(studySchema) }) },
    handle: async ({ services, query }) => {
      const { rows, ...page } = pageOf(await services.studies.list(), query, {
        path: '/studies',
        idOf: ({ id }) => id,
        unknown: 'STUDY_UNKNOWN',
        fits: ({ state }) => query.state === undefined || state === query.state,
      });
      return { studies: rows.map(viewStudy), ...page };
    },
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
    path: '/studies/{id}/front',
    summary: 'The Pareto front, and one for each of several devices; every point was measured',
    answer: { status: 200, schema: frontsSchema },
    handle: ({ services, params }) => services.studies.fronts(asStudyId(params.id)),
  }),
  action('pause', 'Stop asking; what is known stays, and resume goes on from it', (studies, id) =>
    studies.pause(id),
  ),
  action(
    'resume',
    'Go on with a paused or failed study, or measure what devices of a completed one missed',
    (studies, id) => studies.resume(id),
  ),
  action('stop', 'End a study for good', (studies, id) => studies.stopStudy(id)),
];
