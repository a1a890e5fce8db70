import { z } from 'zod';
import { parseSelector } from '../../jobs/selector.js';
import { leaseRequestSchema, leaseSchema, releaseSchema, renewalSchema } from '../lease-schemas.js';
import { listQuery, pageOf, pageSchema } from '../paging.js';
import { defineRoute } from '../route.js';
import { asDeviceId } from '../services.js';

export const leaseRoutes = [
  defineRoute({
    method: 'get',
    path: '/leases',
    summary: 'Devices that people and scripts hold',
    query: z.object(listQuery),
    answer: { status: 200, schema: pageSchema({ leases: z.array(leaseSchema) }) },
    handle: async ({ services, query }) => {
      const { rows, ...page } = pageOf(await services.leases.list(), query, {
        path: '/leases',
        idOf: ({ deviceId }) => deviceId,
      });
      return { leases: rows, ...page };
    },
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
