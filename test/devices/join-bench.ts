import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { AttemptLimit } from '../../daemon/api/attempt-limit.js';
import type { Certificate } from '../../daemon/api/certificate.js';
import { JoinChannel } from '../../daemon/api/join-channel.js';
import { JoinServer } from '../../daemon/api/join-server.js';
import { connectWs } from '../../daemon/cli/connect-ws.js';
import { systemClock } from '../../daemon/core/clock.js';
import { asHildaError, type HildaError } from '../../daemon/core/errors.js';
import { PageHub } from '../../daemon/devices/browser/hub.js';
import { pageProtocol } from '../../daemon/devices/browser/wire.js';
import type { Connection } from '../../daemon/devices/connection.js';
import { StoredJoinKeys } from '../../daemon/fleet/join-keys.js';
import { openStore } from '../../daemon/store/open-store.js';

const joinDir = fileURLToPath(new URL('../../dashboard/join', import.meta.url));

export interface JoinBench {
  readonly keys: StoredJoinKeys;
  readonly pages: PageHub;
  readonly port: number;
  /** The page's address under a host name, with a fresh token. */
  invite(host?: string): Promise<string>;
}

/** The servers that pages and agents join at, with real keys over a real store, on loopback. */
export async function openJoinBench(
  t: Test,
  options: {
    readonly certificate?: Certificate;
    readonly acceptAgent?: (connection: Connection) => Promise<HildaError | null>;
    /** Counts the wrong tokens; without end by default, as tests show many. */
    readonly attempts?: AttemptLimit;
    readonly keys?: StoredJoinKeys;
    /** A minute by default: a busy machine's browser may be slow to speak. */
    readonly helloMs?: number;
  } = {},
): Promise<JoinBench> {
  const clock = systemClock;
  const store = await openStore({ dataDir: ':memory:', clock });
  const keys = options.keys ?? new StoredJoinKeys(store, clock);
  const pages = new PageHub({ keys, clock, helloMs: options.helloMs ?? 60_000 });
  const attempts = options.attempts ?? new AttemptLimit({ clock, most: Number.MAX_SAFE_INTEGER });
  const pageChannel = new JoinChannel({
    accept: (connection) => pages.accept(connection),
    invitedDevice: (pairing) => keys.invitedDevice(pairing),
    clock,
    attempts,
  });
  const agentChannel = new JoinChannel({
    accept:
      options.acceptAgent ??
      (async (connection) => {
        connection.close(1008, 'no agents here');
        return null;
      }),
    clock,
    attempts,
  });
  const { certificate = null } = options;
  const server = new JoinServer({
    port: 0,
    hostname: '127.0.0.1',
    certificate,
    joinDir,
    pages: pageChannel,
    agents: agentChannel,
  });
  const life = new AbortController();
  const port = await server.start(life.signal);
  pageChannel.start(life.signal);
  agentChannel.start(life.signal);
  t.teardown(async () => {
    life.abort();
    await Promise.all([pageChannel.stop(), agentChannel.stop()]);
    await server.stop();
    await store.close();
  });
  return {
    keys,
    pages,
    port,
    invite: async (host = 'localhost') => {
      const { token } = await keys.issue('page');
      return `${certificate ? 'https' : 'http'}://${host}:${port}/join/#t=${token}`;
    },
  };
}

/** Knocks as a page: answers `welcome`, or the code it is refused with. */
export async function knock(
  url: string,
  shown: { readonly token?: string; readonly key?: string },
): Promise<string> {
  const about = {
    model: 'knocker',
    platform: 'test',
    browser: 'none',
    runtimeVersion: '1',
    secure: true,
    isolated: true,
    cores: 1,
    memoryGiB: null,
    gpu: null,
  };
  const state = { hiddenCount: 0, hidden: false, wakeLock: false, battery: null };
  const { signal } = new AbortController();
  const connection = await connectWs(url, { signal }).catch((thrown: unknown) => asHildaError(thrown));
  if ('code' in connection) return connection.code;
  const answer = await new Promise<string>((resolve) => {
    connection.onMessage((text) => {
      const { op, code } = JSON.parse(String(text)) as { op: string; code?: string };
      resolve(code ?? op);
    });
    connection.send(JSON.stringify({ op: 'hello', proto: pageProtocol, ...shown, about, state }));
  });
  const closed = new Promise<void>((resolve) => connection.onClose(resolve));
  connection.close(1000, 'enough');
  await closed;
  return answer;
}
