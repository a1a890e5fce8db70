import type { Clock } from '../clock.js';

/** What of a connection tells whether its line is alive. */
export interface Line {
  onClose(listener: () => void): void;
  /** Ends it at once. */
  drop(): void;
  /** Bytes that came so far. */
  receivedBytes(): number;
}

export interface LineWatch {
  readonly clock: Clock;
  /** A word to the peer, which it need not answer: it keeps the peer from taking the line for dead. */
  readonly beat?: () => void;
  /** How often that is; 5 s by default. */
  readonly beatMs?: number;
  /** Without a byte for as long, the line is dead and is dropped; 20 s by default. */
  readonly silenceMs?: number;
}

/**
 * Keeps a line known to be alive, at both ends by the same rule: any byte that came is a sign of life, of any message,
 * and silence ends the connection. Ends with it.
 */
export function watchLine(connection: Line, watch: LineWatch): void {
  const { clock, beat, beatMs = 5000, silenceMs = 20_000 } = watch;
  const over = new AbortController();
  connection.onClose(() => over.abort());
  const follow = async (): Promise<void> => {
    let heard = connection.receivedBytes();
    let heardUs = clock.monotonicUs();
    for (;;) {
      await clock.sleep(beatMs, { signal: over.signal });
      beat?.();
      const bytes = connection.receivedBytes();
      const nowUs = clock.monotonicUs();
      if (bytes !== heard) heardUs = nowUs;
      heard = bytes;
      if ((nowUs - heardUs) / 1000 < silenceMs) continue;
      connection.drop();
      return;
    }
  };
  follow().catch(() => {});
}
