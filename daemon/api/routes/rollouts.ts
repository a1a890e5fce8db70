import { z } from 'zod';
import { rolloutSpecSchema } from '../../rollouts/request.js';
import { rolloutStates, rolloutSteps } from '../../store/state-names.js';
import { listQuery, nextPage, pageLimit, pageOf, pageSchema } from '../paging.js';
import {
  deviceChangeSchema,
  rolloutDeviceSchema,
  rolloutSchema,
  viewChange,
  viewRollout,
  viewRolloutDevice,
} from '../rollout-schemas.js';
import { Answer, defineRoute } from '../route.js';
import { asDeviceId, type DaemonServices } from '../services.js';

const changesQuery = z.object({
  before: z.coerce.number().int().optional().describe('Only what came before the change of this number.'),
  limit: pageLimit(100),
});

async function changes(
  filter: { readonly deviceId?: ReturnType<typeof asDeviceId>; readonly rollout?: string },
  query: z.infer<typeof changesQuery>,
  path: string,
  { store }: DaemonServices,
) {
  const { before, limit } = query;
  const rows = await store.deviceChanges({
    ...filter,
    limit: limit + 1,
    ...(before !== undefined && { before }),
  });
  const shown = rows.slice(0, limit);
  const next = rows.length > limit ? { ...query, before: shown.at(-1)?.number } : null;
  return {
    changes: shown.map(viewChange),
    total: await store.deviceChangeCount(filter),
    next: nextPage(path, next),
  };
}

export const rolloutRoutes = [
  defineRoute({
    method: 'post',
    path: '/rollouts',
    summary: 'Send a network to many devices in waves; each is tested and measured, or put back',
    body: z.unknown(),
    described: rolloutSpecSchema,
    answer: { status: 201, schema: rolloutSchema, location: true },
    handle: async ({ services, body }) => {
      const record = await services.rollouts.begin(body);
      return new Answer(viewRollout(record), { location: `/v1/rollouts/${record.id}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/rollouts',
    summary: 'Rollouts, newest first',
    query: z.object({
      state: z.enum(rolloutStates).optional(),
      before: z.string().optional().describe('Only rollouts older than this one.'),
      limit: pageLimit(100),
    }),
    answer: { status: 200, schema: pageSchema({ rollouts: z.array(rolloutSchema) }) },
    handle: async ({ services: { store }, query }) => {
      const { state, before, limit } = query;
      const states = state === undefined ? undefined : [state];
      const rows = await store.rollouts({
        limit: limit + 1,
        ...(states && { states }),
        ...(before !== undefined && { before }),
      });
      const shown = rows.slice(0, limit);
      const next = rows.length > limit ? { ...query, before: shown.at(-1)?.id } : null;
      return {
        rollouts: shown.map(viewRollout),
        total: await store.rolloutCount(states),
        next: nextPage('/rollouts', next),
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/rollouts/{id}',
    summary: 'How far a rollout is, and why it stopped',
    answer: { status: 200, schema: rolloutSchema },
    handle: async ({ services: { store }, params }) => viewRollout(await store.rollout(params.id)),
  }),
  defineRoute({
    method: 'get',
    path: '/rollouts/{id}/devices',
    summary:
      'The devices of a rollout in the order of their turns, each with its step and why it was put back',
    query: z.object({ step: z.enum(rolloutSteps).optional(), ...listQuery }),
    answer: { status: 200, schema: pageSchema({ devices: z.array(rolloutDeviceSchema) }) },
    handle: async ({ services: { store }, params: { id }, query }) => {
      const { rows, ...page } = pageOf(await store.rolloutDevices(id), query, {
        path: `/rollouts/${id}/devices`,
        idOf: ({ deviceId }) => deviceId,
        unknown: 'DEVICE_UNKNOWN',
        fits: ({ step }) => query.step === undefined || step === query.step,
      });
      return { devices: rows.map(viewRolloutDevice), ...page };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/rollouts/{id}/changes',
    summary: 'Every step of every device of a rollout, newest first, with why',
    query: changesQuery,
    answer: { status: 200, schema: pageSchema({ changes: z.array(deviceChangeSchema) }) },
    handle: async ({ services, params: { id }, query }) => {
      await services.store.rollout(id);
      return changes({ rollout: id }, query, `/rollouts/${id}/changes`, services);
    },
  }),
  defineRoute({
    method: 'get',
    path: '/devices/{id}/changes',
    summary: 'Every change of what a device runs, newest first, with why',
    query: changesQuery,
    answer: { status: 200, schema: pageSchema({ changes: z.array(deviceChangeSchema) }) },
    handle: async ({ services, params, query }) => {
      const { id } = await services.store.device(asDeviceId(params.id));
      return changes({ deviceId: id }, query, `/devices/${encodeURIComponent(id)}/changes`, services);
    },
  }),
  ...(['pause', 'resume'] as const).map((act) =>
    defineRoute({
      method: 'post',
      path: `/rollouts/{id}/${act}`,
      summary:
        act === 'pause'
          ? 'Begin no further device; those that began go on'
          : 'Go on; of a stopped one, the devices that failed are accepted',
      answer: { status: 200, schema: rolloutSchema },
      handle: async ({ services, params }) =>
        viewRollout(await services.rollouts[act]((params as { id: string }).id)),
    }),
  ),
  defineRoute({
    method: 'post',
    path: '/rollouts/{id}/abort',
    summary: 'End a rollout: devices at work are put back, and so are those that went live in it',
    body: z.strictObject({
      keep: z.boolean().default(false).describe('What went live stays.'),
    }),
    answer: { status: 200, schema: rolloutSchema },
    handle: async ({ services, params, body }) =>
      viewRollout(await services.rollouts.abort(params.id, { keep: body.keep })),
  }),
];
