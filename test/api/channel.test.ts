import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { watchEvents } from '../../daemon/api/watch.js';
import { systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import { freePort } from '../android/adb-bench.js';
import { openBench } from './bench.js';

interface Message {
  readonly op?: string;
  readonly detail?: string;
  readonly seq: number;
  readonly topic?: string;
  readonly data?: unknown;
}

/** A client that collects what it hears. */
async function connect(t: Test, url: string, headers: Record<string, string> = {}) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`, { headers });
  t.teardown(() => socket.terminate());
  const heard: Message[] = [];
  let wake = (): void => {};
  socket.on('message', (data) => {
    heard.push(JSON.parse(String(data)) as Message);
    wake();
  });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const until = async (done: (heard: readonly Message[]) => boolean): Promise<void> => {
    while (!done(heard)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  return {
    heard,
    until,
    socket,
    sub: (topics: string[], since?: number) => socket.send(JSON.stringify({ op: 'sub', topics, since })),
  };
}

t.test('events arrive once, in order, and resume from a number', async (t) => {
  const { url, store } = await openBench(t);
  const first = await connect(t, url);
  first.sub(['study.*', 'devices']);
  await first.until((heard) => heard.some(({ op }) => op === 'subscribed'));
  for (let i = 0; i < 10; i++) await store.publish(i % 2 === 0 ? 'devices' : 'measurements', i);
  await first.until((heard) => heard.filter(({ topic }) => topic).length === 5);
  first.socket.terminate();
  const lastSeen = first.heard.at(-1)?.seq as number;

  // More than one batch is missed meanwhile.
  await Promise.all(Array.from({ length: 450 }, (_, i) => store.publish('study.x', i)));
  const second = await connect(t, url);
  second.sub(['study.*', 'devices'], lastSeen);
  await second.until((heard) => heard.length === 451);
  await store.publish('study.x', 'last');
  await second.until((heard) => heard.length === 452);
  const seqs = second.heard.slice(1).map(({ seq }) => seq);
  t.same(
    seqs,
    [...seqs].sort((a, b) => a - b),
  );
  t.equal(new Set(seqs).size, 451);
  t.equal(second.heard[0]?.seq, lastSeen);
  t.ok(second.heard.every(({ topic, op }) => op === 'subscribed' || topic === 'study.x'));

  const ahead = await connect(t, url);
  ahead.sub(['devices'], 1_000_000);
  await ahead.until((heard) => heard.length === 1);
  t.equal(ahead.heard[0]?.seq, await store.lastSeq(), 'a number from another store is cut to what there is');
});

t.test('wrong words get an error, wrong pages get nothing', async (t) => {
  const { url } = await openBench(t);
  const client = await connect(t, url);
  client.socket.send('{');
  await client.until((heard) => heard.length === 1);
  client.socket.send(JSON.stringify({ op: 'sub', topics: [] }));
  await client.until((heard) => heard.length === 2);
  client.sub(['devices', 'sudy.*', '*', 'study.', 'x'.repeat(200)]);
  await client.until((heard) => heard.length === 3);
  const detail =
    /^there is no topic "sudy\.\*", "\*", "study\."; topics are devices, .*study\.ID or study\.\*/;
  t.match(client.heard, [
    { op: 'error', code: 'REQUEST_INVALID', detail: 'the message is not JSON' },
    { op: 'error', code: 'REQUEST_INVALID', detail: /^message\.topics: / },
    { op: 'error', code: 'REQUEST_INVALID', detail },
  ]);
  t.ok(client.heard.every(({ detail = '' }) => detail.length < 250 && !detail.includes('\n')));
  await t.rejects(connect(t, url, { origin: 'https://evil.example' }), /403/);
  await t.rejects(connect(t, url, { host: 'rebound.example' }), /403/);

  const closed = new Promise<number>((resolve) => client.socket.once('close', resolve));
  client.socket.send('x'.repeat(100_000));
  t.equal(await closed, 1009, 'a message beyond the limit ends the connection');
});

t.test('a channel that is full says so', async (t) => {
  const { url } = await openBench(t);
  await Promise.all(Array.from({ length: 100 }, () => connect(t, url)));
  const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`);
  const [status, retryAfter, body] = await new Promise<[number | undefined, string | undefined, string]>(
    (resolve) =>
      socket.once('unexpected-response', (_, response) => {
        let text = '';
        response.on('data', (data) => {
          text += data;
        });
        response.on('end', () => resolve([response.statusCode, response.headers['retry-after'], text]));
      }),
  );
  t.same([status, retryAfter], [503, '5']);
  t.match(JSON.parse(body), { code: 'CHANNEL_FULL', retryable: true });
});

t.test('a watch goes on after the daemon came back, and gives up on one that does not', async (t) => {
  const bench = await openBench(t, { port: await freePort() });
  const abort = new AbortController();
  t.teardown(() => abort.abort());
  const watch = watchEvents(bench.url, {
    topics: ['devices'],
    clock: systemClock,
    signal: abort.signal,
    // Long enough for the daemon to come back on a loaded machine.
    retry: { firstMs: 20, mostMs: 4000, tries: 10 },
  });
  t.equal((await watch.next()).value, 'subscribed');
  await bench.store.publish('devices', 'before');
  t.match((await watch.next()).value, { data: 'before' });

  const next = watch.next();
  await bench.store.publish('devices', 'while away');
  await bench.stop();
  const again = await openBench(t, { dir: bench.dir, port: Number(new URL(bench.url).port) });
  const heard = [(await next).value, (await watch.next()).value];
  t.match(
    heard.find((value) => value !== 'subscribed'),
    { data: 'while away' },
  );

  // The daemon that came back may still say something of its devices.
  const toItsEnd = async (): Promise<void> => {
    while (!(await watch.next()).done);
  };
  const end = toItsEnd();
  await again.stop();
  await t.rejects(end, { code: 'DAEMON_UNREACHABLE' });
});

t.test('a store that fails for a moment ends no watch, and a wrong topic does', async (t) => {
  const { url, store } = await openBench(t);
  const abort = new AbortController();
  t.teardown(() => abort.abort());
  const watching = { clock: systemClock, signal: abort.signal, retry: { firstMs: 5, mostMs: 20, tries: 50 } };
  const { lastSeq } = store;
  let failures = 0;
  store.lastSeq = async () => {
    if (failures++ < 3) throw new HildaError('DISK_FULL', 'for a moment');
    return lastSeq.call(store);
  };
  t.equal((await watchEvents(url, { ...watching, topics: ['devices'] }).next()).value, 'subscribed');
  t.ok(failures > 3, `${failures} looks`);
  await t.rejects(watchEvents(url, { ...watching, topics: ['nobody'] }).next(), { code: 'REQUEST_INVALID' });
});

t.test(
  'messages of every length arrive whole, to all who hear the same, and to one far behind',
  async (t) => {
    const { url, store } = await openBench(t);
    const seq = await store.lastSeq();
    const live = await Promise.all([1, 2, 3].map(() => connect(t, url)));
    for (const client of live) client.sub(['study.*', 'devices']);
    for (const client of live) await client.until((heard) => heard.length === 1);
    // Around the lengths at which a frame's header changes, and more than is kept for those behind.
    const lengths = [
      0,
      60,
      125 - 40,
      126,
      65_400,
      65_600,
      70_000,
      ...Array.from({ length: 90 }, () => 60_000),
    ];
    for (const [i, length] of lengths.entries())
      await store.publish(i % 10 === 9 ? 'measurements' : 'study.x', 'ä'.repeat(length));
    const wanted = lengths.filter((_, i) => i % 10 !== 9);
    const late = await connect(t, url);
    late.sub(['study.*'], seq);
    for (const client of [...live, late]) {
      await client.until((heard) => heard.length === 1 + wanted.length);
      t.same(
        client.heard.slice(1).map(({ data }) => (data as string).length),
        wanted,
      );
    }
  },
);
