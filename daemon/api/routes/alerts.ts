import { z } from 'zod';
import type { AlertId, MuteId } from '../../core/ids.js';
import type { AlertRecord } from '../../store/alert-contract.js';
import { alertStates } from '../../store/state-names.js';
import {
  type AlertView,
  acknowledgeRequestSchema,
  alertSchema,
  muteRequestSchema,
  muteSchema,
} from '../alert-schemas.js';
import { listQuery, nextPage, pageLimit, pageOf, pageSchema } from '../paging.js';
import { Answer, defineRoute } from '../route.js';
import { asDeviceId } from '../services.js';

const asAlertId = (text: string): AlertId => text as AlertId;

/** What belongs to the daemon alone stays out. */
export function viewAlert(alert: AlertRecord): AlertView {
  if (alert.kind !== 'change') return alert as AlertView;
  const { series: _, ...shown } = alert;
  return shown;
}

export const alertRoutes = [
  defineRoute({
    method: 'get',
    path: '/alerts',
    summary: 'Changes of measured series, devices in quarantine and broken suites, newest first',
    query: z.object({
      state: z.enum(alertStates).optional().describe('open: neither muted nor acknowledged.'),
      device: z.string().optional(),
      before: z.string().optional().describe('Only those raised before this one.'),
      limit: pageLimit(100),
    }),
    answer: { status: 200, schema: pageSchema({ alerts: z.array(alertSchema) }) },
    handle: async ({ services: { store }, query }) => {
      const { state, device, before, limit } = query;
      const filter = {
        ...(state !== undefined && { state }),
        ...(device !== undefined && { deviceId: asDeviceId(device) }),
      };
      if (before !== undefined) await store.alert(asAlertId(before));
      const found = await store.alerts({
        ...filter,
        ...(before !== undefined && { before: asAlertId(before) }),
        limit: limit + 1,
      });
      const shown = found.slice(0, limit);
      const next = found.length > limit ? { ...query, before: shown.at(-1)?.id } : null;
      return {
        alerts: shown.map(viewAlert),
        total: await store.alertCount(filter),
        next: nextPage('/alerts', next),
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/alerts/mutes',
    summary: 'What raises no attention now, newest first',
    query: z.object(listQuery),
    answer: { status: 200, schema: pageSchema({ mutes: z.array(muteSchema) }) },
    handle: async ({ services: { store }, query }) => {
      const { rows, ...page } = pageOf(await store.mutes(), query, {
        path: '/alerts/mutes',
        idOf: ({ id }) => id,
      });
      return { mutes: rows, ...page };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/alerts/mutes',
    summary: 'Alerts to come of a device, a network or a metric raise no attention; they are kept',
    body: muteRequestSchema,
    answer: { status: 201, schema: muteSchema, location: true },
    handle: async ({ services: { store }, body: { device, network, metric, untilMs, note }, caller }) => {
      if (device !== undefined) await store.device(asDeviceId(device));
      const mute = await store.addMute({
        deviceId: device === undefined ? null : asDeviceId(device),
        structureHash: network ?? null,
        metric: metric ?? null,
        untilMs: untilMs ?? null,
        note,
        by: caller.name,
      });
      return new Answer(mute, { location: `/v1/alerts/mutes/${mute.id}` });
    },
  }),
  defineRoute({
    method: 'get',
    path: '/alerts/mutes/{id}',
    summary: 'One mute',
    answer: { status: 200, schema: muteSchema },
    handle: ({ services: { store }, params }) => store.mute(params.id as MuteId),
  }),
  defineRoute({
    method: 'post',
    path: '/alerts/mutes/{id}/lift',
    summary: 'End a mute',
    answer: { status: 200, schema: muteSchema },
    handle: ({ services: { store }, params }) => store.liftMute(params.id as MuteId),
  }),
  defineRoute({
    method: 'get',
    path: '/alerts/{id}',
    summary: 'One alert: how much, since when, and what else changed then',
    answer: { status: 200, schema: alertSchema },
    handle: async ({ services: { store }, params }) => viewAlert(await store.alert(asAlertId(params.id))),
  }),
  defineRoute({
    method: 'post',
    path: '/alerts/{id}/acknowledge',
    summary: 'Say that somebody knows of it; the first one stays named',
    body: acknowledgeRequestSchema,
    answer: { status: 200, schema: alertSchema },
    handle: async ({ services: { store }, params, body: { note }, caller }) =>
      viewAlert(await store.acknowledgeAlert(asAlertId(params.id), { by: caller.name, note })),
  }),
];
