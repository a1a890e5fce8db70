import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { AttemptLimit } from '../../daemon/access/attempt-limit.js';
import { JoinChannel } from '../../daemon/api/join-channel.js';
import { JoinServer } from '../../daemon/api/join-server.js';
import { type Clock, systemClock } from '../../daemon/core/clock.js';
import { AgentHub } from '../../daemon/devices/agent/hub.js';
import { PageHub } from '../../daemon/devices/browser/hub.js';
import type { Connection } from '../../daemon/devices/connection.js';
import { connectWs } from '../../daemon/process/connect-ws.js';
import type { PageSocket, SocketEvents } from '../../dashboard/join/src/page-world.js';
import { admitAll, namedKeys } from './keys.js';
import { socketOver } from './page-in-node.js';
import { SimulatedLine } from './simulated-line.js';
import { SlowProxy } from './slow-proxy.js';
import type { Speed } from './speed.js';
import { VirtualClock } from './virtual-clock.js';

/** A daemon's hubs, and one slow line to them. */
export interface LineWorld {
  readonly clock: Clock;
  readonly pages: PageHub;
  readonly agents: AgentHub;
  /** Answers false where the condition does not hold in time. */
  until(holds: () => boolean, limitMs?: number): Promise<boolean>;
  /** Nothing passes the line for so long. */
  cut(ms: number): void;
  /** Bytes that passed, towards the peer and back. */
  passed(): { readonly down: number; readonly up: number };
  connectPage(events: SocketEvents): PageSocket;
  connectAgent(): Promise<Connection>;
  stop(): Promise<void>;
}

/** Line and time are simulated. */
export function simulatedWorld({ kbitPerS, delayMs }: Speed): LineWorld {
  const clock = new VirtualClock();
  const line = new SimulatedLine({ clock, bitsPerS: 1000 * kbitPerS, delayMs });
  const pages = new PageHub({ keys: namedKeys, clock });
  const agents = new AgentHub({ keys: namedKeys, clock });
  return {
    clock,
    pages,
    agents,
    until: (holds, limitMs) => clock.until(holds, limitMs),
    cut: (ms) => line.cut(ms),
    passed: () => ({ down: line.down.bytes, up: line.up.bytes }),
    connectPage: (events) => socketOver(line, pages, events),
    connectAgent: () => line.connect((far) => void agents.accept(far, admitAll)),
    stop: async () => {},
  };
}

const lookMs = 50;

/** The daemon's own servers, ws over TCP on loopback, and a proxy that is slow. */
export async function realWorld(speed: Speed): Promise<LineWorld> {
  const clock = systemClock;
  const pages = new PageHub({ keys: namedKeys, clock });
  const agents = new AgentHub({ keys: namedKeys, clock });
  const shared = { guestOf: namedKeys.guestOf, clock, attempts: new AttemptLimit({ clock }) };
  const channels = {
    pages: new JoinChannel({ ...shared, accept: (...whom) => pages.accept(...whom) }),
    agents: new JoinChannel({ ...shared, accept: (...whom) => agents.accept(...whom) }),
  };
  const server = new JoinServer({
    port: 0,
    hostname: '127.0.0.1',
    identity: null,
    joinDir: fileURLToPath(new URL('.', import.meta.url)),
    ...channels,
  });
  const life = new AbortController();
  const proxy = new SlowProxy(await server.start(life.signal), speed);
  const port = await proxy.start();
  for (const channel of Object.values(channels)) channel.start(life.signal);
  return {
    clock,
    pages,
    agents,
    until: async (holds, limitMs = 3_600_000) => {
      const endMs = clock.nowMs() + limitMs;
      while (!holds()) {
        if (clock.nowMs() > endMs) return false;
        await clock.sleep(lookMs);
      }
      return true;
    },
    cut: (ms) => proxy.cut(ms),
    passed: () => proxy.passed,
    connectPage: (events) => webSocket(`ws://127.0.0.1:${port}/v1/join`, events),
    connectAgent: () => connectWs(`ws://127.0.0.1:${port}/v1/agents/join`, { signal: life.signal }),
    stop: async () => {
      life.abort();
      await Promise.all(Object.values(channels).map((channel) => channel.stop()));
      await server.stop();
      await proxy.stop();
    },
  };
}

function webSocket(url: string, events: SocketEvents): PageSocket {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  socket.on('open', () => events.opened());
  socket.on('message', (data, isBinary) =>
    events.message(isBinary ? new Uint8Array(data as Buffer) : String(data)),
  );
  // Every error is followed by `close`.
  socket.on('error', () => {});
  socket.on('close', (code) => events.closed(code));
  return {
    get open() {
      return socket.readyState === WebSocket.OPEN;
    },
    send: (message) => socket.send(message),
    close: () => socket.close(),
  };
}
