import { WebSocket } from 'ws';
import { localTokenFor } from '../access/local-token.js';
import { BackOff } from '../core/back-off.js';
import type { Clock } from '../core/clock.js';
import { errorTable, HildaError } from '../core/errors.js';
import { processChance } from '../devices/chance.js';
import { fromProblem } from './problem.js';
import type { EventView } from './schemas.js';

export interface WatchOptions {
  readonly topics: readonly string[];
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Left out: from now on. */
  readonly since?: number;
  /** Waits between tries to come back (`BackOff`); when as many failed, the watch ends with DAEMON_UNREACHABLE. */
  readonly retry?: { readonly firstMs: number; readonly mostMs: number; readonly tries: number };
}

/**
 * A daemon's events, in order, each once, across lost connections. Ends by throwing: the signal's reason, or
 * DAEMON_UNREACHABLE. The first value, `subscribed`, says that nothing from now on will be missed.
 */
export async function* watchEvents(
  base: string,
  options: WatchOptions,
): AsyncGenerator<EventView | 'subscribed'> {
  const { clock, signal, retry = { firstMs: 300, mostMs: 5000, tries: 5 } } = options;
  const backOff = new BackOff({ ...retry, chance: processChance() });
  let since = options.since;
  for (;;) {
    signal.throwIfAborted();
    try {
      for await (const message of connection(base, {
        ...options,
        ...(since === undefined ? {} : { since }),
      })) {
        backOff.reset();
        if ('op' in message) {
          since = message.seq;
          yield 'subscribed';
        } else {
          since = message.seq;
          yield message;
        }
      }
    } catch (thrown) {
      signal.throwIfAborted();
      if (thrown instanceof HildaError) throw thrown;
      if (backOff.failures >= retry.tries) {
        throw new HildaError('DAEMON_UNREACHABLE', `no daemon answers at ${base}`, {
          cause: thrown,
          details: { host: base },
        });
      }
    }
    await clock.sleep(backOff.next(), { signal });
  }
}

type Message =
  | EventView
  | { readonly op: 'subscribed'; readonly seq: number }
  | { readonly op: 'error'; readonly code: string; readonly detail: string };

/** One connection's messages; ends when it closes, throws when it fails. */
async function* connection(
  base: string,
  { topics, since, signal }: WatchOptions,
): AsyncGenerator<Exclude<Message, { op: 'error' }>> {
  const token = await localTokenFor(base);
  const socket = new WebSocket(`${base.replace(/^http/, 'ws')}/v1/ws`, {
    perMessageDeflate: false,
    headers: { ...(token && { authorization: `Bearer ${token}` }) },
  });
  const queue: Message[] = [];
  let failure: Error | undefined;
  let closed = false;
  let wake = (): void => {};
  const changed = (): void => wake();
  socket.on('open', () =>
    socket.send(JSON.stringify({ op: 'sub', topics, ...(since === undefined ? {} : { since }) })),
  );
  socket.on('message', (data) => {
    queue.push(JSON.parse(String(data)) as Message);
    changed();
  });
  socket.on('error', (error) => {
    failure = error;
    changed();
  });
  socket.on('close', () => {
    closed = true;
    changed();
  });
  const abort = (): void => socket.terminate();
  signal.addEventListener('abort', abort, { once: true });
  try {
    for (;;) {
      const message = queue.shift();
      if (message === undefined) {
        if (failure) throw failure;
        if (closed) return;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if ('op' in message && message.op === 'error') {
        const refusal = fromProblem(message, 0);
        // A store that fails for a moment: the watch comes back as after a lost connection.
        throw errorTable[refusal.code].retryable ? new Error(refusal.message, { cause: refusal }) : refusal;
      } else {
        yield message as Exclude<Message, { op: 'error' }>;
      }
    }
  } finally {
    signal.removeEventListener('abort', abort);
    socket.terminate();
  }
}
