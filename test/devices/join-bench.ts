import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { AttemptLimit } from '../../daemon/access/attempt-limit.js';
import { StoredJoinKeys } from '../../daemon/access/join-keys.js';
import type { DaemonIdentity } from '../../daemon/api/identity/daemon-identity.js';
import { JoinChannel } from '../../daemon/api/join-channel.js';
import { JoinServer } from '../../daemon/api/join-server.js';
import { systemClock } from '../../daemon/core/clock.js';
import { asHildaError, type HildaError } from '../../daemon/core/errors.js';
import { PageHub } from '../../daemon/devices/browser/hub.js';
import { pageProtocol } from '../../daemon/devices/browser/wire.js';
import type { Connection } from '../../daemon/devices/connection.js';
import type { Admit } from '../../daemon/devices/join-keys.js';
import { connectWs } from '../../daemon/process/connect-ws.js';
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
    readonly identity?: DaemonIdentity;
    /** Where the server listens; loopback by default. */
    readonly hostname?: string;
    readonly acceptAgent?: (connection: Connection, admit: Admit) => Promise<HildaError | null>;
    /** Counts the wrong tokens; without end by default, as tests show many. */
    readonly attempts?: AttemptLimit;
    readonly keys?: StoredJoinKeys;
    /** A minute by default: a busy machine's browser may be slow to speak. */
    readonly helloMs?: number;
    /** How long a page may be away; half a minute by default, so that tests of what leaves stay short. */
    readonly graceMs?: number;
  } = {},
): Promise<JoinBench> {
  const clock = systemClock;
  const store = await openStore({ dataDir: ':memory:', clock });
  const keys = options.keys ?? new StoredJoinKeys(store, clock);
  const pages = new PageHub({
    keys,
    clock,
    helloMs: options.helloMs ?? 60_000,
    graceMs: options.graceMs ?? 30_000,
  });
  const attempts = options.attempts ?? new AttemptLimit({ clock, most: Number.MAX_SAFE_INTEGER });
  const pageChannel = new JoinChannel({
    accept: (...whom) => pages.accept(...whom),
    guestOf: (pairing) => keys.guestOf(pairing),
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
    guestOf: (pairing) => keys.guestOf(pairing),
    clock,
    attempts,
  });
  const { identity = null } = options;
  const server = new JoinServer({
    port: 0,
    hostname: options.hostname ?? '127.0.0.1',
    identity,
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
    pages.close();
    await store.close();
  });
  return {
    keys,
    pages,
    port,
    invite: async (host = 'localhost') => {
      const { token } = await keys.issue('page');
      return `${identity ? 'https' : 'http'}://${host}:${port}/join/#t=${token}`;
    },
  };
}

interface Shown {
  readonly token?: string;
  readonly key?: string;
}

/** Knocks as a page: answers `welcome`, or the code it is refused with. */
export async function knock(url: string, shown: Shown): Promise<string> {
  const { signal } = new AbortController();
  const connection = await connectWs(url, { signal }).catch((thrown: unknown) => asHildaError(thrown));
  return 'code' in connection ? connection.code : (await greet(connection, shown)).answer;
}

/** Knocks many times at once: everyone is at the door before the first says who it is. */
export async function knockTogether(url: string, shown: readonly Shown[]): Promise<string[]> {
  const knocking = shown.map(() => connectWs(url, { signal: new AbortController().signal }));
  const connections = await Promise.all(knocking);
  const greeted = connections.map((connection, i) => greet(connection, shown[i] as Shown));
  return (await Promise.all(greeted)).map(({ answer }) => answer);
}

/** What a page of no particular browser says about itself. */
export const aPage = {
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
export const atRest = { hiddenCount: 0, hidden: false, wakeLock: false, battery: null };

/** A page that was opened just now, by a person. */
export const newInstance = () => ({ instance: randomUUID(), heard: 0, takeOver: true });

/** Says hello as a page does and closes again. Answers with the daemon's word, and the key that it gave. */
export async function greet(
  connection: Connection,
  shown: Shown,
): Promise<{ readonly answer: string; readonly id?: string; readonly key?: string | null }> {
  const said = await new Promise<{ op: string; code?: string; id?: string; key?: string | null }>(
    (resolve) => {
      connection.onMessage((text) => resolve(JSON.parse(String(text))));
      connection.send(
        JSON.stringify({
          op: 'hello',
          proto: pageProtocol,
          ...newInstance(),
          ...shown,
          about: aPage,
          state: atRest,
        }),
      );
    },
  );
  const closed = new Promise<void>((resolve) => connection.onClose(() => resolve()));
  connection.close(1000, 'enough');
  await closed;
  return { ...said, answer: said.code ?? said.op };
}
