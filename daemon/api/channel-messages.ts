import { z } from 'zod';

/**
 * The words of /v1/ws. The client subscribes; the server answers `subscribed` with the sequence number from which it
 * pushes, then sends each event once, in order. A client that lost its connection subscribes again with the last
 * `seq` it saw and misses nothing. A `seq` in `subscribed` below the `since` asked for means that the store is
 * another one: the client should load afresh.
 */
export const clientMessageSchema = z.strictObject({
  op: z.literal('sub'),
  /** See `checkTopics`: exact names, or prefixes ending in `.*`. A new subscription replaces the last one. */
  topics: z.array(z.string().min(1).max(200)).min(1).max(100),
  /** Push what came after this number; left out: from now on. */
  since: z.number().int().min(0).optional(),
});

export type ClientMessage = z.infer<typeof clientMessageSchema>;

export type ServerMessage =
  | { readonly op: 'subscribed'; readonly seq: number }
  | { readonly op: 'error'; readonly code: string; readonly detail: string }
  | { readonly topic: string; readonly seq: number; readonly t: number; readonly data: unknown };
