import type { DeliveryId, WebhookId } from '../core/ids.js';
import type { Json } from '../core/json.js';
import type { deliveryStates } from './state-names.js';

/** An address that hears of alerts. Its secret stays in the store. */
export interface WebhookRecord {
  readonly id: WebhookId;
  readonly url: string;
  readonly by: string;
  readonly createdMs: number;
  /** Why nothing is sent there any more; null while it is. */
  readonly disabled: string | null;
}

export type DeliveryState = (typeof deliveryStates)[number];

/** One message to one webhook. */
export interface DeliveryRecord {
  readonly id: DeliveryId;
  readonly webhookId: WebhookId;
  readonly kind: string;
  readonly body: Json;
  /** How often it was sent. */
  readonly attempt: number;
  readonly state: DeliveryState;
  /** When a waiting one is sent, at the earliest. */
  readonly nextMs: number;
  /** Why the last attempt failed. */
  readonly error: string | null;
  readonly createdMs: number;
  readonly endedMs: number | null;
}

/** A message that is due, with what sending it needs. */
export interface DueDelivery extends DeliveryRecord {
  readonly url: string;
  readonly secret: string;
}

export interface WebhookStore {
  addWebhook(webhook: {
    readonly url: string;
    readonly secret: string;
    readonly by: string;
  }): Promise<WebhookRecord>;
  /** Oldest first. */
  webhooks(): Promise<readonly WebhookRecord[]>;
  /** Throws NOT_FOUND. */
  webhook(id: WebhookId): Promise<WebhookRecord>;
  /** Its messages go with it. Throws NOT_FOUND. */
  removeWebhook(id: WebhookId): Promise<WebhookRecord>;
  /**
   * A message to one webhook, or to all that are sent to, and values by key, in one transaction. Throws NOT_FOUND for an unknown
   * webhook.
   */
  queueDelivery(message: {
    readonly kind: string;
    readonly body: Json;
    readonly webhookId?: WebhookId;
    readonly values?: { readonly [key: string]: Json };
  }): Promise<void>;
  /** How many measurements came after this one, by verdict, and the last of them. */
  verdictsAfter(
    ordinal: number,
  ): Promise<{ readonly verdicts: Readonly<Record<string, number>>; readonly upTo: number }>;
  /** The oldest waiting message of each webhook, due or not; the order of messages to a webhook is kept. */
  nextDeliveries(): Promise<readonly DueDelivery[]>;
  /**
   * Ends an attempt: delivered, to be repeated at `againMs`, or given up. `disabled`: nothing more is sent there. A message
   * whose webhook is gone is ignored.
   */
  noteDelivery(
    id: DeliveryId,
    outcome: {
      readonly error: string | null;
      readonly againMs?: number;
      readonly disabled?: string;
    },
  ): Promise<void>;
  /** Newest first; the latest thousand of each webhook are kept. */
  deliveries(filter: {
    readonly webhookId: WebhookId;
    readonly before?: DeliveryId;
    readonly limit?: number;
  }): Promise<readonly DeliveryRecord[]>;
  deliveryCount(webhookId: WebhookId): Promise<number>;
}
