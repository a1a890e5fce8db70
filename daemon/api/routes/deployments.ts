import { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import { deploymentSchema } from '../../devices/schemas.js';
import { bytesOf, calibratingOf, networkOf } from '../bound-network.js';
import { deploymentRequestSchema, inferenceRequestSchema, tensorsSchema } from '../measurement-schemas.js';
import { Answer, defineRoute } from '../route.js';
import { asDeviceId } from '../services.js';

export const deploymentRoutes = [
  defineRoute({
    method: 'post',
    path: '/deployments',
    summary: "Put a model with its weights into a board's flash, where it survives a reset",
    body: deploymentRequestSchema,
    answer: { status: 201, schema: deploymentSchema, location: true },
    handle: async ({ services, body, signal }) => {
      const deviceId = asDeviceId(body.device);
      await services.store.device(deviceId);
      const network = await networkOf(body, services);
      const calibrating = await calibratingOf(body, network, services);
      const deployment = await services.deploy({ network, deviceId, ...calibrating }, { signal });
      return new Answer(deployment, {
        location: `/v1/devices/${encodeURIComponent(deviceId)}/deployment`,
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
      const deployment = await services.deployed(id);
      if (deployment) return deployment;
      throw new HildaError('NOT_FOUND', `nothing was deployed to ${id} by this daemon`, {
        hint: 'POST /v1/deployments deploys a model.',
      });
    },
  }),
  defineRoute({
    method: 'post',
    path: '/deployments/run',
    summary: 'Run the model that a board holds; inputs and outputs are real numbers, row-major',
    body: inferenceRequestSchema,
    answer: { status: 200, schema: z.object({ outputs: tensorsSchema }) },
    handle: async ({ services, body, signal }) => {
      const deviceId = asDeviceId(body.device);
      await services.store.device(deviceId);
      const input = 'blob' in body.input ? await bytesOf(body.input.blob, 'blob', services) : body.input;
      return { outputs: await services.runDeployed({ deviceId, input }, { signal }) };
    },
  }),
];
