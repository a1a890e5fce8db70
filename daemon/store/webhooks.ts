import type { Knex } from 'knex';
import { HildaError } from '../core/errors.js';
import type { DeliveryId, WebhookId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { Database, Write } from './database.js';
import { fromJsonText, toJsonText } from './json-columns.js';
import { ordinalOf } from './numbered-ids.js';
import type { DeliveryRecord, DeliveryState, WebhookRecord, WebhookStore } from './webhook-contract.js';

interface WebhookRow {
  readonly ordinal: number;
  readonly url: string;
  readonly secret: string;
  readonly by: string;
  readonly created_ms: number;
  readonly disabled: string | null;
}

interface DeliveryRow {
  readonly ordinal: number;
  readonly webhook: number;
  readonly kind: string;
  readonly body: string;
  readonly attempt: number;
  readonly state: DeliveryState;
  readonly next_ms: number;
  readonly error: string | null;
  readonly created_ms: number;
  readonly ended_ms: number | null;
}

const defaultLimit = 100;
/** Of each webhook's messages. */
const kept = 1000;

export function webhookStore(database: Database): WebhookStore {
  return {
    addWebhook: ({ url, secret, by }) =>
      database.write(async ({ db, nowMs, next, publish }) => {
        const row: WebhookRow = {
          ordinal: await next('webhooks'),
          url,
          secret,
          by,
          created_ms: nowMs,
          disabled: null,
        };
        await db('webhooks').insert(row);
        const record = toWebhook(row);
        await publish('alerts', { type: 'webhook-added', id: record.id });
        return record;
      }),

    webhooks: async () => {
      const rows = await database.read<WebhookRow[]>((db) => db('webhooks').orderBy('ordinal'));
      return rows.map(toWebhook);
    },

    webhook: async (id) => toWebhook(await database.read((db) => requireWebhook(db, id))),

    removeWebhook: (id) =>
      database.write(async ({ db, publish }) => {
        const row = await requireWebhook(db, id);
        await db('deliveries').where({ webhook: row.ordinal }).delete();
        await db('webhooks').where({ ordinal: row.ordinal }).delete();
        await publish('alerts', { type: 'webhook-removed', id });
        return toWebhook(row);
      }),

    queueDelivery: ({ kind, body, webhookId, values = {} }) =>
      database.write(async (write) => {
        const only = webhookId === undefined ? undefined : await requireWebhook(write.db, webhookId);
        await queueDeliveries({ kind, body }, write, only?.ordinal);
        for (const [key, value] of Object.entries(values))
          await write
            .db('key_values')
            .insert({ key, value: toJsonText(value) })
            .onConflict('key')
            .merge();
      }),

    verdictsAfter: async (ordinal) => {
      const rows = await database.read<{ verdict: string; count: number | string; last: number }[]>((db) =>
        db('measurements')
          .select('verdict')
          .where('ordinal', '>', ordinal)
          .groupBy('verdict')
          .orderBy('verdict')
          .count({ count: '*' })
          .max({ last: 'ordinal' }),
      );
      return {
        verdicts: Object.fromEntries(rows.map(({ verdict, count }) => [verdict, Number(count)])),
        upTo: Math.max(ordinal, ...rows.map(({ last }) => last)),
      };
    },

    nextDeliveries: async () => {
      const rows = await database.read<(DeliveryRow & Pick<WebhookRow, 'url' | 'secret'>)[]>((db) =>
        db('deliveries')
          .select('deliveries.*', 'webhooks.url', 'webhooks.secret')
          .join('webhooks', 'webhooks.ordinal', 'deliveries.webhook')
          .whereNull('webhooks.disabled')
          .whereIn(
            'deliveries.ordinal',
            db('deliveries').where({ state: 'waiting' }).groupBy('webhook').min('ordinal'),
          )
          .orderBy('deliveries.ordinal'),
      );
      return rows.map((row) => ({ ...toDelivery(row), url: row.url, secret: row.secret }));
    },

    noteDelivery: (id, { error, againMs, disabled }) =>
      database.write(async ({ db, nowMs }) => {
        const row: DeliveryRow | undefined = await db('deliveries')
          .where({ ordinal: ordinalOf(id, 'delivery'), state: 'waiting' })
          .first();
        if (!row) return;
        const attempt = row.attempt + 1;
        await db('deliveries')
          .where({ ordinal: row.ordinal })
          .update(
            againMs === undefined
              ? { attempt, error, state: error === null ? 'delivered' : 'failed', ended_ms: nowMs }
              : { attempt, error, next_ms: againMs },
          );
        if (disabled !== undefined) await db('webhooks').where({ ordinal: row.webhook }).update({ disabled });
        await db('deliveries')
          .where({ webhook: row.webhook })
          .andWhere(
            'ordinal',
            '<=',
            db('deliveries')
              .select('ordinal')
              .where({ webhook: row.webhook })
              .orderBy('ordinal', 'desc')
              .limit(1)
              .offset(kept),
          )
          .delete();
      }),

    deliveries: async ({ webhookId, before, limit = defaultLimit }) => {
      const rows = await database.read<DeliveryRow[]>((db) => {
        const query = db('deliveries')
          .where({ webhook: ordinalOf(webhookId, 'webhook') })
          .orderBy('ordinal', 'desc')
          .limit(limit);
        return before === undefined ? query : query.andWhere('ordinal', '<', ordinalOf(before, 'delivery'));
      });
      return rows.map(toDelivery);
    },

    deliveryCount: async (webhookId) => {
      const [counted] = await database.read<{ readonly count: number | string }[]>((db) =>
        db('deliveries')
          .where({ webhook: ordinalOf(webhookId, 'webhook') })
          .count({ count: '*' }),
      );
      return Number(counted?.count ?? 0);
    },
  };
}

/** A message for one webhook, or for each that is sent to; it is stored with what the message tells of. */
export async function queueDeliveries(
  { kind, body }: { readonly kind: string; readonly body: Json },
  { db, nowMs, next }: Write,
  only?: number,
): Promise<void> {
  const hooks = await db('webhooks')
    .whereNull('disabled')
    .modify((query) => only !== undefined && query.where({ ordinal: only }))
    .orderBy('ordinal')
    .pluck<number[]>('ordinal');
  if (hooks.length === 0) return;
  const first = await next('deliveries', hooks.length);
  await db('deliveries').insert(
    hooks.map((webhook, i) => ({
      ordinal: first + i,
      webhook,
      kind,
      body: toJsonText(body),
      attempt: 0,
      state: 'waiting',
      next_ms: nowMs,
      created_ms: nowMs,
    })),
  );
}

async function requireWebhook(db: Knex, id: WebhookId): Promise<WebhookRow> {
  const row: WebhookRow | undefined = await db('webhooks')
    .where({ ordinal: ordinalOf(id, 'webhook') })
    .first();
  if (row) return row;
  throw new HildaError('NOT_FOUND', `there is no webhook ${id}`, { hint: 'GET /v1/webhooks lists them.' });
}

const toWebhook = ({ ordinal, url, by, created_ms, disabled }: WebhookRow): WebhookRecord => ({
  id: `webhook-${ordinal}` as WebhookId,
  url,
  by,
  createdMs: created_ms,
  disabled,
});

const toDelivery = (row: DeliveryRow): DeliveryRecord => ({
  id: `delivery-${row.ordinal}` as DeliveryId,
  webhookId: `webhook-${row.webhook}` as WebhookId,
  kind: row.kind,
  body: fromJsonText(row.body, `delivery ${row.ordinal}`),
  attempt: row.attempt,
  state: row.state,
  nextMs: row.next_ms,
  error: row.error,
  createdMs: row.created_ms,
  endedMs: row.ended_ms,
});
