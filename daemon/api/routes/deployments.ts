import { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import { deploymentSchema } from '../../devices/schemas.js';
import { bytesOf } from '../../jobs/bound-network.js';
import { deployedTo } from '../../jobs/deployments.js';
import { calibratingOf } from '../../jobs/materials.js';
import { formatSelector, type Selector } from '../../jobs/selector.js';
import { awaited, deploymentJob, servedJob } from '../asked-jobs.js';
import { deploymentRequestSchema, inferenceRequestSchema, tensorsSchema } from '../measurement-schemas.js';
import { Answer, defineRoute } from '../route.js';
import { asDeviceId, type DaemonServices } from '../services.js';

/** Throws STATE_CONFLICT for a device that a rollout is at work on. */
async function assertFree(devices: Selector, { store }: Pick<DaemonServices, 'store'>): Promise<void> {
  const rollout = 'device' in devices ? await store.rolloutOf(devices.device) : undefined;
  if (rollout === undefined) return;
  throw new HildaError(
    'STATE_CONFLICT',
    `${formatSelector(devices)} is part of ${rollout}, which has not ended`,
    {
      hint: `Wait for it, or end it: \`hilda rollout abort ${rollout}\`.`,
      details: { rollout },
    },
  );
}

export const deploymentRoutes = [
  defineRoute({
    method: 'post',
    path: '/deployments',
    summary: "Put a model with its weights into a board's flash, where it survives a reset",
    body: deploymentRequestSchema,
    answer: { status: 201, schema: deploymentSchema, location: true },
    handle: async ({ services, body, signal, idempotencyKey }) => {
      const request = await deploymentJob(body, services);
      await assertFree(request.devices, services);
      // Examples that do not fit are refused before they are a job.
      const { network } = request.given ?? {};
      if (network) await calibratingOf(request.inputs ?? null, network, services);
      const { job } = await awaited(services, request, { idempotencyKey, signal });
      return new Answer(job.result, {
        location: `/v1/devices/${encodeURIComponent(job.deviceId ?? '')}/deployment`,
      });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/devices/{id}/deployment',
    summary: 'What this daemon put into the device last',
    answer: { status: 200, schema: deploymentSchema },
    handle: async ({ services, params }) => {
      const { id } = await services.store.device(asDeviceId(params.id));
      const deployment = await deployedTo(id, services.store);
      if (deployment) return deployment;
      throw new HildaError('NOT_FOUND', `nothing was deployed to ${id} by this daemon`, {
        hint: 'POST /v1/deployments deploys a model.',
      });
    },
  }),
  defineRoute({
    method: 'post',
    path: '/deployments/run',
    summary:
      'Run the model that a board holds, or that is kept for another device; inputs and outputs are real numbers, row-major',
    body: inferenceRequestSchema,
    answer: { status: 200, schema: z.object({ outputs: tensorsSchema }) },
    handle: async ({ services, body, signal, idempotencyKey }) => {
      if ('blob' in body.input) await bytesOf(body.input.blob, 'blob', services);
      const request = await servedJob(body, services);
      return (await awaited(services, request, { idempotencyKey, signal })).job.result;
    },
  }),
];
