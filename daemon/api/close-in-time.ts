import type { Duplex } from 'node:stream';
import { systemClock } from '../core/clock.js';

/** What a client has to read an answer and to close its side. */
const lingerMs = 2000;

/** Ends a connection that has its answer: a client that does not close its side must not keep the descriptor. */
export function closeInTime(socket: Duplex): void {
  const closed = new AbortController();
  socket.once('close', () => closed.abort());
  systemClock.sleep(lingerMs, { signal: closed.signal }).then(
    () => socket.destroy(),
    () => {},
  );
}
