import { createHmac } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { Digests } from '../../daemon/benchmarks/alerts/digests.js';
import { Webhooks } from '../../daemon/benchmarks/alerts/webhooks.js';
import { ManualClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import type { Store } from '../../daemon/store/contract.js';
import { openStore } from '../../daemon/store/open-store.js';
import { alert, codeOf, deviceId, target } from '../contract/store-samples.js';
import { until } from '../until.js';

interface Heard {
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

/** A receiver that answers as `answer` says. */
async function receiver(t: Test, answer: (response: ServerResponse, heard: readonly Heard[]) => void) {
  const heard: Heard[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      heard.push({ headers: request.headers, text: Buffer.concat(parts).toString() });
      answer(response, heard);
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { heard, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook` };
}

async function started(t: Test): Promise<{ store: Store; clock: ManualClock; webhooks: Webhooks }> {
  const clock = new ManualClock(1_700_000_000_000);
  const store = await openStore({ dataDir: ':memory:', clock });
  const webhooks = new Webhooks({ store, clock, chance: () => 0.5 });
  webhooks.start();
  t.teardown(async () => {
    await webhooks.stop();
    await store.close();
  });
  return { store, clock, webhooks };
}

const end = (response: ServerResponse, status: number, headers: Record<string, string> = {}): void =>
  void response.writeHead(status, headers).end('x'.repeat(100));
const raise = async (store: Store, series = 'x'): Promise<void> =>
  void (await store.raiseAlerts({ alerts: [{ ...alert, series }], returned: [], watchedUpTo: 0 }));
const statesOf = async (store: Store): Promise<(readonly [string, number, string | null])[]> =>
  (await store.deliveries({ webhookId: 'webhook-1' as never })).map(
    ({ state, attempt, error }) => [state, attempt, error] as const,
  );

t.test('a message is signed, and sent again until it is received', async (t) => {
  const { store, clock, webhooks } = await started(t);
  const { heard, url } = await receiver(t, (response, { length }) => end(response, length < 3 ? 503 : 204));
  const { secret } = await webhooks.add(url, 'anna');
  await raise(store);
  await raise(store, 'y');
  webhooks.wake();
  await until(async () => (await statesOf(store))[1]?.[1] === 1, 'the first attempt is noted');
  t.equal(heard.length, 1, 'the second message waits for the first');
  await clock.advance(5000);
  t.equal(heard.length, 1);
  // Waits of 10 and 20 s, of which chance takes a quarter.
  for (const [ms, attempts] of [
    [2500, 2],
    [15_000, 4],
  ] as const) {
    await clock.advance(ms);
    await until(() => heard.length >= attempts, `attempt ${attempts}`);
  }
  await until(
    async () => (await statesOf(store)).every(([state]) => state === 'delivered'),
    'both are received',
  );
  t.same(await statesOf(store), [
    ['delivered', 1, null],
    ['delivered', 3, null],
  ]);
  const [first, , third, other] = heard;
  t.equal(first?.text, third?.text);
  t.match(JSON.parse(first?.text ?? ''), {
    type: 'hilda.alert',
    timestamp: '2023-11-14T22:13:20.000Z',
    data: { id: 'alert-1', ratio: 1.04, differences: [{ path: 'kernel' }] },
  });
  t.match(JSON.parse(other?.text ?? ''), { data: { id: 'alert-2' } });
  t.not(first?.headers['webhook-id'], other?.headers['webhook-id']);
  for (const { headers, text } of heard) {
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${text}`;
    const key = Buffer.from(secret.replace('whsec_', ''), 'base64');
    t.equal(headers['webhook-signature'], `v1,${createHmac('sha256', key).update(signed).digest('base64')}`);
  }
});

t.test('receivers that move, vanish or never answer harm no other', async (t) => {
  const { store, clock, webhooks } = await started(t);
  const silent = await receiver(t, () => {});
  const moved = await receiver(t, (response) => end(response, 302, { location: silent.url }));
  const gone = await receiver(t, (response) => end(response, 410));
  const good = await receiver(t, (response) => end(response, 200));
  for (const { url } of [silent, moved, gone, good]) await webhooks.add(url, 'anna');
  await webhooks.add('http://127.0.0.1:1/', 'anna');
  await raise(store);
  webhooks.wake();
  await until(() => good.heard.length === 1 && silent.heard.length === 1, 'the good one hears of it');
  await clock.advance(10_000);
  const errors = async (): Promise<(string | null | undefined)[]> =>
    Promise.all(
      (await store.webhooks()).map(async ({ id }) => (await store.deliveries({ webhookId: id }))[0]?.error),
    );
  await until(async () => (await errors())[0] !== null, 'the silent one is given up for now');
  t.match(await errors(), ['no answer within 10 s', 'it answered 302', '410', null, /ECONNREFUSED|bad port/]);
  t.match((await store.webhooks())[2], { disabled: 'the receiver answered 410 Gone' });
  t.equal(silent.heard.length, 1, 'a redirection is not followed');
});

t.test('after a day it gives up; a restart goes on where it was', async (t) => {
  const { store, clock, webhooks } = await started(t);
  let status = 500;
  const { heard, url } = await receiver(t, (response) => end(response, status));
  await webhooks.add(url, 'anna');
  await raise(store);
  webhooks.wake();
  for (let attempt = 1; attempt <= 14; attempt++) {
    await until(async () => (await statesOf(store))[0]?.[1] === attempt, `attempt ${attempt}`);
    await clock.advance(6 * 3_600_000);
  }
  t.same(await statesOf(store), [['failed', 14, 'it answered 500']]);
  await raise(store, 'y');
  await webhooks.stop();
  status = 200;
  const next = new Webhooks({ store, clock });
  next.start();
  t.teardown(() => next.stop());
  await until(() => heard.length === 15, 'the next daemon sends what waits');
});

t.test('what is no receiver is refused', async (t) => {
  const { webhooks } = await started(t);
  for (const url of [
    '',
    'x',
    'ftp://a/',
    'file:///etc/passwd',
    'http://anna:key@a/',
    `http://a/${'x'.repeat(2000)}`,
  ])
    t.equal(await codeOf(webhooks.add(url, 'anna')), 'USAGE_INVALID', url.slice(0, 30));
});

t.test('a digest tells what happened since the last one', async (t) => {
  const { store, clock, webhooks } = await started(t);
  await webhooks.add((await receiver(t, (response) => end(response, 200))).url, 'anna');
  for (const id of [deviceId, 'far' as DeviceId, 'hot' as DeviceId]) {
    await store.upsertDevice({ id, kind: 'fake', label: 'x', target });
    await store.setDeviceState(id, id === 'hot' ? 'quarantined' : 'adopted', id === 'hot' ? 'smoke' : null);
  }
  const pool = { presence: (id: DeviceId) => ({ present: id === deviceId }) as never };
  const digests = new Digests({ store, clock, pool, onQueued: () => webhooks.wake() });
  await raise(store);
  const seen = {
    // A series that changed, and the device in quarantine.
    raised: 2,
    open: 2,
    measurements: {},
    away: ['far'],
    quarantined: [{ id: 'hot', reason: 'smoke' }],
  };
  t.match(await digests.compose(), {
    ...seen,
    newest: [{ id: 'alert-2' }, { kind: 'quarantine', subject: 'hot' }],
  });
  t.match(await digests.send(), seen);
  await clock.advance(1000);
  t.match(await digests.compose(), { fromMs: clock.nowMs() - 1000, raised: 0, open: 2 });
  await until(async () => (await statesOf(store))[0]?.[0] === 'delivered', 'the digest is received');
});
