import { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import { operatorCostSchema } from '../../devices/schemas.js';
import { bytesOf } from '../../jobs/bound-network.js';
import { awaited, measurementJob, profileJob } from '../asked-jobs.js';
import { jobSchema } from '../job-schemas.js';
import { viewJob } from '../job-views.js';
import {
  measurementRequestSchema,
  measurementSchema,
  networkSchema,
  profileRequestSchema,
  roundSchema,
} from '../measurement-schemas.js';
import { nextPage, pageLimit, pageSchema } from '../paging.js';
import { Answer, defineRoute, octets } from '../route.js';
import { asDeviceId, asMeasurementId, asStudyId } from '../services.js';
import { viewMeasurement, viewNetwork } from '../views.js';

/** ONNX's protobuf form ends at 2 GiB; far below that a daemon on a small host still keeps its breath. */
const maxModelBytes = 256 * 1024 * 1024;

export const measurementRoutes = [
  defineRoute({
    method: 'post',
    path: '/models',
    summary:
      'Upload an ONNX file, or a ZIP archive of one and the files it names; the same bytes get the same id',
    body: { maxBytes: maxModelBytes },
    answer: { status: 201, schema: networkSchema, location: true },
    handle: async ({ services, body }) => {
      const graph = await services.readNetwork(body);
      const sha256 = await services.blobs.put(body);
      const location = `/v1/models/${sha256}`;
      return new Answer(viewNetwork(sha256, body.byteLength, graph), { location });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/models/{sha256}',
    summary: 'The bytes of an uploaded or exported ONNX file',
    answer: { status: 200, schema: octets, immutable: true },
    handle: async ({ services, params }) =>
      new Answer(await bytesOf(params.sha256, 'model', services), { type: octets }),
  }),
  defineRoute({
    method: 'post',
    path: '/measurements',
    summary: 'Measure a model on a device; with wait=false the answer is 202 and a job to look at',
    query: z.object({ wait: z.enum(['true', 'false']).default('true') }),
    body: measurementRequestSchema,
    answer: { status: 201, schema: measurementSchema, location: true },
    also: [{ status: 202, schema: jobSchema, location: true, when: 'With wait=false: it runs on its own.' }],
    handle: async ({ services, body, query, signal, idempotencyKey }) => {
      const waits = query.wait !== 'false';
      // With a key the client comes back for it.
      const attached = waits && idempotencyKey === null;
      const { given, ...request } = await measurementJob(body, services);
      const { record, done } = await services.jobs.submit(
        { ...request, attached, idempotencyKey, ...(waits && given && { given }) },
        attached ? { signal } : {},
      );
      if (!waits)
        return new Answer(await viewJob(record, services), {
          status: 202,
          location: `/v1/jobs/${record.id}`,
        });
      const { measurement } = await done;
      if (!measurement) throw new HildaError('INTERNAL', `the job ${record.id} ended without a measurement`);
      return new Answer(viewMeasurement(measurement), { location: `/v1/measurements/${measurement.id}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/measurements',
    summary: 'Measurements, newest first',
    query: z.object({
      device: z.string().optional(),
      study: z.string().optional(),
      structure: z.string().optional().describe('A structure hash.'),
      verdict: measurementSchema.shape.verdict.optional(),
      before: z.string().optional().describe('Only what was stored before this measurement.'),
      limit: pageLimit(100),
    }),
    answer: { status: 200, schema: pageSchema({ measurements: z.array(measurementSchema) }) },
    handle: async ({ services: { store }, query }) => {
      const { device, study, structure, verdict, before, limit } = query;
      const filter = {
        ...(device !== undefined && { deviceId: asDeviceId(device) }),
        ...(study !== undefined && { studyId: asStudyId(study) }),
        ...(structure !== undefined && { structureHash: structure }),
        ...(verdict !== undefined && { verdict }),
      };
      const [total, records] = await Promise.all([
        store.measurementCount(filter),
        store.measurements({
          ...filter,
          limit: limit + 1,
          ...(before !== undefined && { before: asMeasurementId(before) }),
        }),
      ]);
      const shown = records.slice(0, limit).map(viewMeasurement);
      const next = records.length > limit ? { ...query, before: shown.at(-1)?.id } : null;
      return { measurements: shown, total, next: nextPage('/measurements', next) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/measurements/{id}',
    summary: 'One measurement',
    answer: { status: 200, schema: measurementSchema },
    handle: async ({ services, params }) =>
      viewMeasurement(await services.store.measurement(asMeasurementId(params.id))),
  }),
  defineRoute({
    method: 'get',
    path: '/measurements/{id}/samples',
    summary: 'Every timed round of a measurement, in order, the rejected ones included',
    answer: { status: 200, schema: z.object({ rounds: z.array(roundSchema) }) },
    handle: async ({ services, params }) => ({
      rounds: (await services.store.measurement(asMeasurementId(params.id))).rounds,
    }),
  }),
  defineRoute({
    method: 'post',
    path: '/profiles',
    summary: 'Cost by operator; the times are from a profiled run and do not add up to the latency',
    body: profileRequestSchema,
    answer: { status: 200, schema: z.object({ operators: z.array(operatorCostSchema) }) },
    handle: async ({ services, body, signal, idempotencyKey }) => {
      const { job } = await awaited(services, await profileJob(body, services), { idempotencyKey, signal });
      return job.result;
    },
  }),
];
