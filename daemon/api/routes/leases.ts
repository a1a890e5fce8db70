import { z } from 'zod';
import { parseSelector } from '../../jobs/selector.js';
import { leaseRequestSchema, leaseSchema, releaseSchema, renewalSchema } from '../lease-schemas.js';
import { defineRoute } from '../route.js';
import { asDeviceId } from '../services.js';

export const leaseRoutes = [
  defineRoute({
    method: 'get',
    path: '/leases',
    summary: 'Devices that people and scripts hold',
    answer: { status: 200, schema: z.object({ leases: z.array(leaseSchema) }) },
    handle: async ({ services }) => ({ leases: await services.leases.list() }),
  }),
  defineRoute({
    method: 'post',
    path: '/leases',
    summary: 'Hold a device: no job runs there until it is released or the lease has run out',
    body: leaseRequestSchema,
    answer: { status: 200, schema: leaseSchema },
    handle: ({ services, body: { device, ...request }, signal }) =>
      services.leases.acquire({ ...request, devices: parseSelector(device) }, { signal }),
  }),
  defineRoute({
    method: 'post',
    path: '/leases/{id}/renew',
    summary: 'Hold a device for longer; `id` is the device',
    body: renewalSchema,
    answer: { status: 200, schema: leaseSchema },
    handle: ({ services, params, body }) => services.leases.renew(asDeviceId(params.id), body),
  }),
  defineRoute({
    method: 'post',
    path: '/leases/{id}/release',
    summary: 'Give a device back to the jobs; `id` is the device',
    body: releaseSchema,
    answer: { status: 200, schema: leaseSchema },
    handle: ({ services, params, body }) => services.leases.release(asDeviceId(params.id), body),
  }),
];
