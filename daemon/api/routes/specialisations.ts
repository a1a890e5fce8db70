import { z } from 'zod';
import type { SpecialisationRecord } from '../../study/specialisation-records.js';
import type { Specialisation } from '../../study/specialisations.js';
import { Answer, defineRoute } from '../route.js';
import {
  type SpecialisationRecordView,
  type SpecialisationView,
  specialisationRecordSchema,
  specialisationRequestSchema,
  specialisationSchema,
} from '../specialisation-schemas.js';

/** Without the specifications: the studies have them. */
const viewRecord = ({ columns, ...rest }: SpecialisationRecord): SpecialisationRecordView => ({
  ...rest,
  columns: columns.map(({ spec: _, host: __, ...column }) => column),
});

const viewSpecialisation = ({ level, rows, ...record }: Specialisation): SpecialisationView => ({
  ...viewRecord(record),
  level,
  rows: rows.map((row) => ({ ...row, cells: { ...row.cells } })),
});

export const specialisationRoutes = [
  defineRoute({
    method: 'post',
    path: '/specialisations',
    summary: 'One search a device, then every winner measured on every device; look at it for the outcome',
    body: specialisationRequestSchema,
    answer: { status: 202, schema: specialisationSchema },
    handle: async ({ services, body }) => {
      const made = viewSpecialisation(await services.specialisations.create(body));
      return new Answer(made, { location: `/v1/specialisations/${made.id}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/specialisations',
    summary: 'Every specialisation, without its matrix',
    answer: {
      status: 200,
      schema: z.object({ specialisations: z.array(specialisationRecordSchema) }),
    },
    handle: async ({ services }) => ({
      specialisations: (await services.specialisations.list()).map(viewRecord),
    }),
  }),
  defineRoute({
    method: 'get',
    path: '/specialisations/{id}',
    summary: 'How far a specialisation is, and its matrix',
    answer: { status: 200, schema: specialisationSchema },
    handle: async ({ services, params }) =>
      viewSpecialisation(await services.specialisations.show(params.id)),
  }),
  defineRoute({
    method: 'post',
    path: '/specialisations/{id}/resume',
    summary: 'Go on with a specialisation that is paused or failed, where its studies stood',
    answer: { status: 200, schema: specialisationSchema },
    handle: async ({ services, params }) =>
      viewSpecialisation(await services.specialisations.resume(params.id)),
  }),
];
