import { z } from 'zod';
import type { DeviceRecord } from '../../store/contract.js';
import { defineRoute } from '../route.js';
import { deviceSchema } from '../schemas.js';
import { asDeviceId, type DaemonServices } from '../services.js';
import { viewDevice } from '../views.js';

const view = async (record: DeviceRecord, { store, clock }: DaemonServices) =>
  viewDevice(record, await store.leases(), clock.nowMs());

const viewAll = async ({ store, clock }: DaemonServices) => {
  const leases = await store.leases();
  return { devices: (await store.devices()).map((record) => viewDevice(record, leases, clock.nowMs())) };
};

const devicesSchema = z.object({ devices: z.array(deviceSchema) });

export const deviceRoutes = [
  defineRoute({
    method: 'get',
    path: '/devices',
    summary: 'Every device ever seen, with its state and its present user',
    answer: { status: 200, schema: devicesSchema },
    handle: ({ services }) => viewAll(services),
  }),
  defineRoute({
    method: 'post',
    path: '/devices/discover',
    summary: 'Look for devices now; obstacles say why one cannot be used',
    answer: { status: 200, schema: devicesSchema.extend({ obstacles: z.record(z.string(), z.string()) }) },
    handle: async ({ services, signal }) => {
      const sightings = await services.pool.discover({ signal });
      const obstacles = sightings.flatMap(({ id, obstacle }) =>
        obstacle === null ? [] : [[id, obstacle] as const],
      );
      return { ...(await viewAll(services)), obstacles: Object.fromEntries(obstacles) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/devices/{id}',
    summary: 'One device',
    answer: { status: 200, schema: deviceSchema },
    handle: async ({ services, params }) =>
      view(await services.store.device(asDeviceId(params.id)), services),
  }),
  defineRoute({
    method: 'post',
    path: '/devices/{id}/adopt',
    summary: 'Take a sighted device into use',
    answer: { status: 200, schema: deviceSchema },
    handle: async ({ services, params }) => view(await services.pool.adopt(asDeviceId(params.id)), services),
  }),
];
