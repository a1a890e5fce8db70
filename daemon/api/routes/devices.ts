import { z } from 'zod';
import type { DeviceId } from '../../core/ids.js';
import { deviceHealth } from '../../fleet/health/device-health.js';
import { repeatabilityOf } from '../../fleet/repeatability-ledger.js';
import type { DeviceRecord, Lease } from '../../store/contract.js';
import { deviceSchema, equivalenceSchema } from '../device-schemas.js';
import { deviceHealthSchema, healthCheckSchema, viewHealth } from '../health-schemas.js';
import { listQuery, pageLimit, pageOf, pageSchema } from '../paging.js';
import { campaignSchema } from '../predictor-schemas.js';
import { Answer, defineRoute } from '../route.js';
import { asDeviceId, type DaemonServices } from '../services.js';
import { showCampaignRecord } from '../show-campaign.js';
import { viewDevice } from '../views.js';

const view = async (record: DeviceRecord, { store, clock, pool, joining }: DaemonServices) =>
  viewDevice(record, {
    lease: (await store.leases()).find(({ deviceId }) => deviceId === record.id),
    nowMs: clock.nowMs(),
    presence: pool.presence(record.id),
    line: joining.lineTo(record.id),
    running: await store.runningOn(record.id),
    ...(isTimed(record) && { repeatability: await repeatabilityOf(store, record.id, record.target) }),
  });

/** Emulators count and do not time: they are identical run after run. */
const isTimed = ({ target: { tier } }: DeviceRecord): boolean => tier !== 'qemu' && tier !== 'rp2040js';

/** Of a large fleet, a page is viewed and the rest only read. */
const viewEach = async (
  records: readonly DeviceRecord[],
  { store, clock, pool, joining }: DaemonServices,
) => {
  const nowMs = clock.nowMs();
  const leases = new Map<DeviceId, Lease>();
  for (const lease of await store.leases()) leases.set(lease.deviceId, lease);
  const running = new Map((await store.running()).map((one) => [one.deviceId, one]));
  return records.map((record) =>
    viewDevice(record, {
      lease: leases.get(record.id),
      nowMs,
      presence: pool.presence(record.id),
      line: joining.lineTo(record.id),
      running: running.get(record.id),
    }),
  );
};

const devicesSchema = z.object({
  devices: z.array(deviceSchema),
  unusable: z
    .array(z.object({ kind: z.string(), obstacle: z.string() }))
    .readonly()
    .describe('Kinds of devices whose code does not load here, and why.'),
});

export const deviceRoutes = [
  defineRoute({
    method: 'get',
    path: '/devices',
    summary: 'Every device ever seen, with its state and its present user',
    query: z.object({
      state: deviceSchema.shape.state.optional(),
      ...listQuery,
      limit: pageLimit(10_000, 10_000),
    }),
    answer: { status: 200, schema: pageSchema(devicesSchema.shape) },
    handle: async ({ services, query }) => {
      const { store, unusable = [] } = services;
      const { rows, ...page } = pageOf(await store.devices(), query, {
        path: '/devices',
        idOf: ({ id }) => id,
        unknown: 'DEVICE_UNKNOWN',
        fits: ({ state }) => query.state === undefined || state === query.state,
      });
      return { devices: await viewEach(rows, services), unusable, ...page };
    },
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
      const { store, unusable = [] } = services;
      const devices = await viewEach(await store.devices(), services);
      return { devices, unusable, obstacles: Object.fromEntries(obstacles) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/devices/{id}',
    summary: 'One device',
    answer: { status: 200, schema: deviceSchema },
    handle: async ({ services, params }) => {
      const { summary, device } = await deviceHealth(asDeviceId(params.id), services, { changes: false });
      return { ...(await view(device, services)), health: summary };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/devices/{id}/health',
    summary: 'Its reference measurements beside their limits, temperature and clock, availability, failures',
    answer: { status: 200, schema: deviceHealthSchema },
    handle: async ({ services, params }) => viewHealth(await deviceHealth(asDeviceId(params.id), services)),
  }),
  defineRoute({
    method: 'post',
    path: '/devices/{id}/health/check',
    summary: 'Check a device now, also one in quarantine; rules follow from what is found',
    answer: { status: 200, schema: healthCheckSchema },
    handle: ({ services, params, signal }) =>
      services.health.check(asDeviceId(params.id), { name: 'by hand', signal }),
  }),
  defineRoute({
    method: 'post',
    path: '/devices/{id}/adopt',
    summary: 'Take a device into use, or back into use',
    answer: { status: 200, schema: deviceSchema },
    handle: async ({ services, params }) => view(await services.pool.adopt(asDeviceId(params.id)), services),
  }),
  ...(['ignored', 'quarantined'] as const).map((state) =>
    defineRoute({
      method: 'post',
      path: `/devices/{id}/${state === 'ignored' ? 'ignore' : 'quarantine'}` as const,
      summary:
        state === 'ignored'
          ? 'Leave a device alone for good'
          : 'Take a device that is not to be trusted out of use',
      body: z.object({ reason: z.string().max(500).nullable().default(null) }),
      answer: { status: 200, schema: deviceSchema },
      handle: async ({ services, params, body }) =>
        view(await services.pool.setAside(asDeviceId(params.id), state, body.reason), services),
    }),
  ),
  defineRoute({
    method: 'post',
    path: '/devices/{id}/release',
    summary: 'End a quarantine',
    body: z.object({
      relearn: z.boolean().default(false).describe('Its former reference levels teach no limits any more.'),
    }),
    answer: { status: 200, schema: deviceSchema },
    handle: async ({ services, params, body: { relearn } }) =>
      view(await services.pool.release(asDeviceId(params.id), { relearn }), services),
  }),
  defineRoute({
    method: 'post',
    path: '/devices/{id}/tags',
    summary: "Replace a device's tags",
    body: z.object({ tags: z.array(z.string().regex(/^[\w.:=-]{1,64}$/)).max(32) }),
    answer: { status: 200, schema: deviceSchema },
    handle: async ({ services, params, body }) =>
      view(await services.pool.tag(asDeviceId(params.id), body.tags), services),
  }),
  defineRoute({
    method: 'post',
    path: '/devices/{id}/compare',
    summary: 'Test whether two devices of one target are equivalent, so that their costs may be pooled',
    query: z.object({ wait: z.enum(['true', 'false']).default('true') }),
    body: z.object({ with: z.string(), margin: z.number().gt(0).max(1).default(0.05) }),
    answer: { status: 200, schema: equivalenceSchema },
    also: [
      { status: 202, schema: campaignSchema, location: true, when: 'With wait=false: it runs on its own.' },
    ],
    handle: async ({ services, params, body: { with: other, margin }, query, signal }) => {
      const [a, b] = [asDeviceId(params.id), asDeviceId(other)];
      if (query.wait === 'true') return services.comparisons.verdict(a, b, { signal, margin });
      const campaign = showCampaignRecord(await services.comparisons.start(a, b, { margin }));
      return new Answer(campaign, { status: 202, location: `/v1/campaigns/${campaign.id}` });
    },
  }),
];
