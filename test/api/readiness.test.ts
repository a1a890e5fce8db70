import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { FrontDoor } from '../../daemon/api/front-door.js';
import { Readiness } from '../../daemon/api/readiness.js';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import type { Driver } from '../../daemon/devices/contract.js';
import { Daemon } from '../../daemon/process/daemon.js';
import { openStore } from '../../daemon/store/open-store.js';
import { restoreFixture } from '../store/restore-fixture.js';
import { until } from '../until.js';

interface Problem {
  readonly status: string;
  readonly code?: string;
  readonly detail?: string;
  readonly retryable?: boolean;
  readonly details?: { readonly notReady: readonly { readonly part: string; readonly why: string }[] };
}

const asked = async (url: string, init: RequestInit = {}) => {
  const response = await fetch(url, init);
  return { status: response.status, headers: response.headers, body: (await response.json()) as Problem };
};

t.test('the port is open before anything else, and says what it waits for', async (t) => {
  const readiness = new Readiness(systemClock, {
    store: 'it is opened',
    jobs: 'they are read',
    api: 'it is made',
  });
  const front = new FrontDoor({ port: 0, readiness });
  const url = await front.open();
  t.teardown(() => front.close());
  readiness.enter('store');
  const parts = [
    { part: 'store', why: 'it is opened' },
    { part: 'jobs', why: 'waits for its turn' },
    { part: 'api', why: 'waits for its turn' },
  ];
  for (const path of ['/readyz', '/v1/health', '/', '/v1/studies']) {
    const { status, body, headers } = await asked(url + path);
    t.match({ status, body }, { status: 503, body: { code: 'DAEMON_NOT_READY', retryable: true } }, path);
    t.same(body.details?.notReady, parts, path);
    t.equal(headers.get('retry-after'), '1');
  }
  t.equal((await asked(`${url}/livez`)).status, 200, 'the process is well all the while');
  t.equal((await asked(`${url}/readyz`, { method: 'POST' })).status, 405);
  t.equal((await asked(`${url}/livez`, { headers: { origin: 'http://evil.example' } })).status, 403);
  readiness.say('the database gets 0013-x');
  t.equal((await asked(`${url}/readyz`)).body.detail, 'store: the database gets 0013-x');
  readiness.enter('jobs');
  t.same(
    (await readiness.notReady()).map(({ part }) => part),
    ['jobs', 'api'],
  );
  readiness.started();
  t.same((await asked(`${url}/readyz`)).body, { status: 'ready', notReady: [] });
  readiness.stopping();
  t.match((await asked(`${url}/readyz`)).body, {
    code: 'DAEMON_NOT_READY',
    detail: 'daemon: it is stopping',
  });
});

t.test('a client that never closes its side keeps no descriptor', async (t) => {
  const readiness = new Readiness(systemClock);
  const front = new FrontDoor({ port: 0, readiness });
  const { port } = new URL(await front.open());
  t.teardown(() => front.close());
  const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
  t.teardown(() => socket.destroy());
  socket.write('this is not HTTP\r\n\r\n');
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => {
    answer += text;
  });
  await new Promise((resolve) => socket.once('end', resolve));
  t.match(answer, /^HTTP\/1\.1 400 .*REQUEST_INVALID/s);
  const open = () =>
    new Promise<number>((resolve) => front.http.getConnections((_, count) => resolve(count)));
  await until(async () => (await open()) === 0, 'the daemon lets it go');
});

t.test('a part that does not answer, or fails, is not ready; many who ask share one look', async (t) => {
  const clock = new ManualClock();
  const readiness = new Readiness(clock);
  readiness.started();
  let looks = 0;
  readiness.watch('store', () => {
    looks++;
    return new Promise(() => {});
  });
  readiness.watch('disk', async () => {
    throw new Error('it is full');
  });
  const all = Promise.all([readiness.notReady(), readiness.notReady(), readiness.notReady()]);
  await clock.advance(2000);
  const expected = [
    { part: 'store', why: 'it does not answer within 2000 ms' },
    { part: 'disk', why: 'it is full' },
  ];
  t.same(await all, [expected, expected, expected]);
  t.equal(looks, 1);
});

t.test('a daemon is ready once its devices were looked for', async (t) => {
  let look = (): void => {};
  const looking = new Promise<void>((resolve) => {
    look = resolve;
  });
  const slow: Driver = {
    kind: 'slow',
    async *discover() {
      await looking;
      yield* [];
    },
    open: async () => {
      throw new Error('it is never opened');
    },
  };
  const daemon = new Daemon({
    dataDir: t.testdir(),
    port: 0,
    clock: systemClock,
    drivers: [slow],
    shippedDrivers: false,
  });
  const starting = daemon.start(new AbortController().signal);
  t.teardown(() => daemon.stop());
  for (;;) {
    const [first] = await daemon.readiness.notReady();
    if (first?.part === 'campaigns') break;
    await systemClock.sleep(20);
  }
  look();
  const url = await starting;
  t.same((await asked(`${url}/readyz`)).body, { status: 'ready', notReady: [] });
});

t.test('a store of an earlier version says which migrations run', async (t) => {
  const dataDir = await restoreFixture(t, 'schema-0004.sql');
  const heard: string[][] = [];
  const open = () =>
    openStore({ dataDir, clock: systemClock, onMigrate: (names) => void heard.push([...names]) });
  await (await open()).close();
  t.match(heard, [['0005-device-host', '0006-specialisations']]);
  await (await open()).close();
  t.equal(heard.length, 1, 'once');
  t.ok(readdirSync(join(dataDir)).includes('hilda.sqlite'));
});
