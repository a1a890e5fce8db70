import { z } from 'zod';
import { operatorCostSchema } from '../../devices/schemas.js';
import { bytesOf, networkOf } from '../bound-network.js';
import {
  measurementRequestSchema,
  measurementSchema,
  networkSchema,
  profileRequestSchema,
  roundSchema,
} from '../measurement-schemas.js';
import { nextPage, pageLimit, pageSchema } from '../paging.js';
import { Answer, defineRoute, octets } from '../route.js';
import { jobSchema } from '../schemas.js';
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
    handle: async ({ services, jobs, body, query, signal }) => {
      const deviceId = asDeviceId(body.device);
      // Refused before it is a job: an unknown device or model is the request's fault.
      await services.store.device(deviceId);
      const network = await networkOf(body, services);
      const job = jobs.start((jobSignal) =>
        services.measure({ network, deviceId, protocol: body.protocol }, { signal: jobSignal }),
      );
      if (query.wait === 'false')
        return new Answer(job.view, { status: 202, location: `/v1/jobs/${job.view.id}` });
      signal.addEventListener('abort', () => job.cancel(), { once: true });
      const measured = viewMeasurement(await job.done);
      return new Answer(measured, { location: `/v1/measurements/${measured.id}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/jobs/{id}',
    summary: 'What became of a measurement that was started with wait=false',
    answer: { status: 200, schema: jobSchema },
    handle: async ({ jobs, params }) => jobs.show(params.id),
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
    handle: async ({ services, body, signal }) => {
      const deviceId = asDeviceId(body.device);
      await services.store.device(deviceId);
      const network = await networkOf(body, services);
      return { operators: await services.profile({ network, deviceId }, { signal }) };
    },
  }),
];
