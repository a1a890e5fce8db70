import { z } from 'zod';
import { checkConsent } from '../consent.js';
import { listQuery, pageOf, pageSchema } from '../paging.js';
import { Answer, defineRoute } from '../route.js';
import { asSpecialisationId } from '../services.js';
import {
  specialisationRequestSchema,
  specialisationSchema,
  specialisationSummarySchema,
} from '../specialisation-schemas.js';

export const specialisationRoutes = [
  defineRoute({
    method: 'post',
    path: '/specialisations',
    summary:
      'One search a device, then the best of all searches measured on every device; look at it for the outcome',
    body: specialisationRequestSchema,
    answer: { status: 202, schema: specialisationSchema, location: true },
    handle: async ({ services, body, caller }) => {
      checkConsent(body, caller, services.allowedEvaluators);
      const made = await services.specialisations.create(body);
      return new Answer(made, { location: `/v1/specialisations/${made.id}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/specialisations',
    summary: 'Every specialisation, without its matrix',
    query: z.object({ state: specialisationSummarySchema.shape.state.optional(), ...listQuery }),
    answer: { status: 200, schema: pageSchema({ specialisations: z.array(specialisationSummarySchema) }) },
    handle: async ({ services, query }) => {
      const { rows, ...page } = pageOf(await services.specialisations.list(), query, {
        path: '/specialisations',
        idOf: ({ id }) => id,
        fits: ({ state }) => query.state === undefined || state === query.state,
      });
      return { specialisations: rows, ...page };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/specialisations/{id}',
    summary: 'How far a specialisation is, and its matrix',
    answer: { status: 200, schema: specialisationSchema },
    handle: ({ services, params }) => services.specialisations.show(asSpecialisationId(params.id)),
  }),
  defineRoute({
    method: 'post',
    path: '/specialisations/{id}/resume',
    summary: 'Go on with a specialisation that is paused or failed, where its studies stood',
    answer: { status: 200, schema: specialisationSchema },
    handle: ({ services, params }) => services.specialisations.resume(asSpecialisationId(params.id)),
  }),
];
