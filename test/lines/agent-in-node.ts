import { Agent } from '../../daemon/agent/agent.js';
import type { Clock } from '../../daemon/core/clock.js';
import { asHildaError } from '../../daemon/core/errors.js';
import type { Connection } from '../../daemon/devices/connection.js';
import type { Driver } from '../../daemon/devices/contract.js';

export interface AgentInNodeOptions {
  readonly clock: Clock;
  readonly connect: () => Promise<Connection>;
  readonly drivers: readonly Driver[];
  readonly dataDir: string;
  /** Agents with one key are copies of one folder. */
  readonly key: string;
  readonly takeOver?: boolean;
}

/** An agent in this process. */
export function runAgent({ clock, connect, drivers, dataDir, key, takeOver = false }: AgentInNodeOptions) {
  const abort = new AbortController();
  const events: { readonly event: string; readonly [key: string]: unknown }[] = [];
  let ended: string | null = null;
  const agent = new Agent({
    name: 'far away',
    dataDir,
    token: key,
    drivers,
    clock,
    takeOver,
    connect,
    onEvent: (event, details) => events.push({ event, ...details }),
  });
  const done = agent.run(abort.signal).then(
    () => {
      ended = 'stopped';
    },
    (thrown) => {
      ended = asHildaError(thrown).code;
    },
  );
  return {
    events,
    said: (event: string): number => events.filter((one) => one.event === event).length,
    /** How it ended; null while it runs. */
    ended: (): string | null => ended,
    stop: () => {
      abort.abort();
      return done;
    },
  };
}
