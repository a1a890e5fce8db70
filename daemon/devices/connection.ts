import type { LineFacts } from '../core/link/line-rate.js';

/** What is known of the line to a peer that is here, as people and programs see it. */
export interface LineState extends LineFacts {
  /** For how long it has been down, while the peer is waited for; null while it is up. */
  readonly downMs: number | null;
}

/**
 * A two-way channel of text and binary messages, in order. `api` makes one of each ws client that joins, so that the
 * drivers behind it know nothing of ws.
 */
export interface Connection {
  /** Where the other side is, for people and for counting failures. */
  readonly peer: string;
  send(message: string | Uint8Array): void;
  /** The one listener, replacing the last; while there is none, messages are kept for the next. */
  onMessage(listener: ((message: string | Uint8Array) => void) | null): void;
  /** Each listener is called once, also when the connection was closed already. */
  onClose(listener: (code: number) => void): void;
  /** `code` as in RFC 6455, section 7.4; the reason is at most 123 bytes there. */
  close(code: number, reason: string): void;
  /** Ends it at once, where the other side does not answer any more. */
  drop(): void;
  /** Asks for a sign of life, which shows in `receivedBytes`. */
  ping(): void;
  /** Bytes that came so far, those of a partly received message included: each is a sign of life. */
  receivedBytes(): number;
}

/** Close codes (RFC 6455, section 7.4.1, and the private range). */
export const closeCodes = { done: 1000, goingAway: 1001, refused: 1008, displaced: 4001 } as const;

/** The peer meant to end it: it does not come back by itself to the same session. */
export const wasMeant = (code: number): boolean => code === closeCodes.done || code === closeCodes.goingAway;
