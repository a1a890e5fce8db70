import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import type { AttemptLimit } from '../../daemon/access/attempt-limit.js';
import { StoredJoinKeys } from '../../daemon/access/join-keys.js';
import { Agent } from '../../daemon/agent/agent.js';
import { type Clock, systemClock } from '../../daemon/core/clock.js';
import { asHildaError } from '../../daemon/core/errors.js';
import { AgentDriver } from '../../daemon/devices/agent/driver.js';
import { AgentHub } from '../../daemon/devices/agent/hub.js';
import type { Connection } from '../../daemon/devices/connection.js';
import type { Device, Driver } from '../../daemon/devices/contract.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import type { OwnMachine } from '../../daemon/devices/own-machine.js';
import { connectWs } from '../../daemon/process/connect-ws.js';
import { openStore } from '../../daemon/store/open-store.js';
import { openJoinBench } from '../devices/join-bench.js';

export const childPath = fileURLToPath(new URL('./agent-child.js', import.meta.url));

const { signal } = new AbortController();

export async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let i = 0; i < 3000; i++) {
    if (await holds()) return;
    await systemClock.sleep(10);
  }
  throw new Error(`never: ${what}`);
}

/** A hub behind a real ws server; `links` are the agents' open connections, to be cut. */
export async function openHub(
  t: Test,
  times: { leaseMs?: number; heartbeatMs?: number; machine?: OwnMachine } = {},
  attempts?: AttemptLimit,
) {
  const clock = systemClock;
  const store = await openStore({ dataDir: ':memory:', clock });
  t.teardown(() => store.close());
  const keys = new StoredJoinKeys(store, clock);
  const hub = new AgentHub({ keys, clock, leaseMs: 20_000, heartbeatMs: 200, helloMs: 60_000, ...times });
  const links = new Set<Connection>();
  const { port } = await openJoinBench(t, {
    keys,
    ...(attempts && { attempts }),
    acceptAgent: async (connection, admit) => {
      links.add(connection);
      connection.onClose(() => void links.delete(connection));
      return hub.accept(connection, admit);
    },
  });
  const folder = await mkdtemp(join(tmpdir(), 'hilda-agents-'));
  t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return { store, keys, hub, links, folder, url: `ws://127.0.0.1:${port}/v1/agents/join` };
}

export type Hub = Awaited<ReturnType<typeof openHub>>;

/** An agent in this process. Stopped with the test; `cut` breaks its link. */
export async function startAgent(
  t: Test,
  bench: Hub,
  driver: Driver,
  name = 'here',
  { clock = systemClock, boot = null }: { readonly clock?: Clock; readonly boot?: string | null } = {},
) {
  const abort = new AbortController();
  const events: { event: string; [key: string]: unknown }[] = [];
  const { token } = await bench.keys.issue('agent');
  let connected: Connection | undefined;
  let reachable = true;
  const ended = new Agent({
    name,
    dataDir: join(bench.folder, name),
    token,
    drivers: [driver],
    clock,
    boot,
    retry: { firstMs: 20, mostMs: 40 },
    connect: async ({ visit, ...options }) => {
      if (!reachable) throw new Error('the test holds the link down');
      connected = await connectWs(`${bench.url}?visit=${visit}`, options);
      return connected;
    },
    onEvent: (event, details) => events.push({ event, ...details }),
  })
    .run(abort.signal)
    .then(
      () => 'stopped',
      (thrown: unknown) => asHildaError(thrown).code as string,
    );
  t.teardown(async () => {
    abort.abort();
    await ended;
  });
  return {
    ended,
    events,
    hold: (down: boolean) => {
      reachable = !down;
      if (down) connected?.close(1000, 'cut');
    },
    said: (event: string) => events.filter((e) => e.event === event).length,
  };
}

/** A fake whose jobs end when the test says so, however fast the machine is. */
export class GatedDriver extends FakeDriver {
  begun = 0;
  /** Jobs end by themselves. */
  ungated = false;
  #waiting: (() => void)[] = [];

  override async open(...args: Parameters<FakeDriver['open']>): Promise<Device> {
    const device = await super.open(...args);
    return new Proxy(device, {
      get: (inner, name) => {
        const value = Reflect.get(inner, name, inner);
        if (typeof value !== 'function') return value;
        if (name !== 'measure') return value.bind(inner);
        return async (...given: Parameters<Device['measure']>) => {
          this.begun++;
          if (!this.ungated) await new Promise<void>((resolve) => this.#waiting.push(resolve));
          return inner.measure(...given);
        };
      },
    });
  }

  go(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

export const never = (): never => {
  throw new Error('never');
};

export const open = async (hub: AgentHub): Promise<Device> => {
  const driver = new AgentDriver(hub);
  for await (const sighting of driver.discover()) return driver.open(sighting, { signal });
  throw new Error('no device');
};
