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
  onClose(listener: () => void): void;
  /** `code` as in RFC 6455, section 7.4; the reason is at most 123 bytes there. */
  close(code: number, reason: string): void;
}

/** Close codes (RFC 6455, section 7.4.1, and the private range). */
export const closeCodes = { goingAway: 1001, refused: 1008, replaced: 4001 } as const;
