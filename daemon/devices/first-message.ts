import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import type { Connection } from './connection.js';

/** The first message as JSON. Throws MESSAGE_INVALID where it is none, or none comes in time. */
export function firstMessage(connection: Connection, clock: Clock, timeoutMs: number): Promise<unknown> {
  const done = new AbortController();
  return new Promise<unknown>((resolve, reject) => {
    const refuse = (message: string) => reject(new HildaError('MESSAGE_INVALID', message));
    connection.onMessage((message) => {
      connection.onMessage(null);
      if (typeof message !== 'string') return refuse('the first message is not text');
      try {
        resolve(JSON.parse(message));
      } catch {
        refuse('the first message is not JSON');
      }
    });
    connection.onClose(() => refuse('the connection closed before it said who it is'));
    clock.sleep(timeoutMs, { signal: done.signal }).then(
      () => refuse(`nothing was said within ${timeoutMs} ms`),
      () => {},
    );
  }).finally(() => done.abort());
}
