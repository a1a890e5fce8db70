import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { localTokenFor } from '../../../daemon/access/local-token.js';
import { systemClock } from '../../../daemon/core/clock.js';
import { type Attack, type Outcome, refusalOf } from './attack.js';
import type { AttackedDaemon } from './attacked-daemon.js';
import { rightChain } from './models.js';

const json = { 'content-type': 'application/json' };
const program = { name: 'a', evaluator: { kind: 'command', command: ['/bin/sh', '-c', 'id'] } };
const post = (body: unknown): RequestInit => ({ method: 'POST', headers: json, body: JSON.stringify(body) });

const unknown = (
  name: string,
  path: string,
  init: RequestInit = {},
  token: string | null = null,
): Attack => ({
  kind: 'access',
  name,
  run: async (daemon) => refusalOf(await daemon.fetch(path, init, token)),
});

/** A token of a scope, as the local user makes it for somebody else. */
async function tokenOf(daemon: AttackedDaemon, scope: string): Promise<string> {
  const made = await daemon.post('/access/tokens', { name: 'other', scope, days: 1 });
  return ((await made.json()) as { token: string }).token;
}

const scoped = (name: string, scope: string, path: string, init: RequestInit): Attack => ({
  kind: 'access',
  name,
  run: async (daemon) => refusalOf(await daemon.fetch(path, init, await tokenOf(daemon, scope))),
});

const named = (name: string, evaluator: object): Attack =>
  scoped(`a token names ${name}`, 'admin', '/studies', post({ name: 'a', evaluator }));

/** A pipe that nobody writes to, in place of a file. */
const pipe = (what: string, evaluator: (file: string) => object): Attack => ({
  kind: 'paths',
  name: `a pipe named as ${what}, by the local user`,
  run: async (daemon) => {
    const file = join(daemon.dataDir, 'pipe');
    execFileSync('mkfifo', [file]);
    const { devices } = (await (await daemon.fetch('/devices')).json()) as { devices: { id: string }[] };
    return refusalOf(
      await daemon.post('/studies', {
        name: 'a',
        space: 'mbconv-fmnist',
        sampler: { name: 'random' },
        devices: [devices[0]?.id],
        objectives: ['latencyUs'].map((metric) => ({ metric, goal: 'min' })),
        budget: { trials: 1 },
        evaluator: evaluator(file),
      }),
    );
  },
});

/** What somebody asks who has no right to it. */
export const strangers: readonly Attack[] = [
  unknown('another user of the machine starts a program', '/studies', post(program)),
  unknown('another user of the machine lists devices', '/devices'),
  unknown('another user of the machine invites an agent', '/joiners/invite', post({ kind: 'agent' })),
  unknown('a guessed token', '/devices', {}, 'hilda.00000000.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'),
  {
    kind: 'access',
    name: '2,000 guessed tokens',
    run: async (daemon) => {
      const codes = new Set<number>();
      for (let i = 0; i < 2000; i += 50) {
        const some = Array.from({ length: 50 }, (_, j) =>
          daemon.fetch('/devices', {}, `hilda.0000${i + j}.x`),
        );
        for (const { status } of await Promise.all(some)) codes.add(status);
      }
      return { code: [...codes].join() === '401' ? 'TOKEN_REFUSED' : null };
    },
  },
  {
    kind: 'access',
    name: 'the channel of events without a token',
    run: (daemon) =>
      new Promise<Outcome>((resolve) => {
        const socket = new WebSocket(`${daemon.url.replace('http', 'ws')}/v1/ws`);
        socket.on('error', () => {});
        socket.once('unexpected-response', (_, { statusCode }) =>
          resolve({ code: statusCode === 401 ? 'TOKEN_REFUSED' : null, note: String(statusCode) }),
        );
        socket.once('open', () => resolve({ code: null, note: 'it is open' }));
      }),
  },
  {
    kind: 'access',
    name: 'a revoked token',
    run: async (daemon) => {
      const made = await daemon.post('/access/tokens', { name: 'other', scope: 'read', days: 1 });
      const { id, token } = (await made.json()) as { id: string; token: string };
      await daemon.post(`/access/tokens/${id}/revoke`, {});
      return refusalOf(await daemon.fetch('/devices', {}, token));
    },
  },
  {
    kind: 'access',
    name: 'a channel of events that stays open when its token is revoked',
    run: async (daemon) => {
      const made = await daemon.post('/access/tokens', { name: 'other', scope: 'read', days: 1 });
      const { id, token } = (await made.json()) as { id: string; token: string };
      const socket = new WebSocket(`${daemon.url.replace('http', 'ws')}/v1/ws`, {
        headers: { authorization: `Bearer ${token}` },
      });
      const closed = new Promise<Outcome>((resolve) =>
        socket.once('close', (code) => resolve({ code: `CLOSED ${code}` })),
      );
      socket.on('error', () => {});
      await new Promise((resolve) => socket.once('open', resolve));
      await daemon.post(`/access/tokens/${id}/revoke`, {});
      const never = systemClock.sleep(60_000).then((): Outcome => ({ code: null, note: 'it stays open' }));
      return Promise.race([closed, never]);
    },
  },
  scoped('the page starts a program', 'page', '/studies', post(program)),
  scoped('the page makes a token', 'page', '/access/tokens', post({ name: 'x' })),
  scoped('a token for machines to join lists devices', 'agent', '/devices', {}),
  scoped('a token to read measures', 'read', '/measurements', post({})),
  scoped('a token to measure makes tokens', 'measure', '/access/tokens', post({ name: 'x' })),
  scoped('a token to measure invites an agent', 'measure', '/joiners/invite', post({ kind: 'agent' })),
  named('a program', program.evaluator),
  named('a table by path', { kind: 'table', file: '/etc/passwd', source: 'x' }),
  named('a folder to write weights to', { kind: 'inherit', work: '/tmp/x' }),
  named('weights by path', { kind: 'supernet', weights: '/etc/passwd' }),
  {
    kind: 'access',
    name: 'a link to the page, used twice',
    run: async (daemon) => {
      const { path } = (await (await daemon.post('/access/links', {})).json()) as { path: string };
      await fetch(daemon.url + path, { redirect: 'manual' });
      return refusalOf(await fetch(daemon.url + path, { redirect: 'manual' }));
    },
  },
  ...(
    [
      ['a page of another site', { origin: 'https://evil.example' }],
      ['a page of another port', { origin: 'http://127.0.0.1:1' }],
      ['a request of another site without an origin', { 'sec-fetch-site': 'cross-site' }],
      ['a page without an origin of its own', { origin: 'null' }],
    ] as const
  ).map(
    ([name, headers]): Attack => ({
      kind: 'other sites',
      name,
      run: async (daemon) => refusalOf(await daemon.fetch('/devices', { headers })),
    }),
  ),
  {
    kind: 'other sites',
    name: 'a name that was bound to this machine (DNS rebinding)',
    run: (daemon) =>
      new Promise<Outcome>((resolve) => {
        const socket = connect(Number(new URL(daemon.url).port), '127.0.0.1');
        socket.end('GET /v1/devices HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n');
        let answer = '';
        socket.setEncoding('utf8').on('data', (text) => {
          answer += text;
        });
        socket.on('close', () => resolve({ code: /ORIGIN_REFUSED/.exec(answer)?.[0] ?? null }));
      }),
  },
  pipe('a table', (file) => ({ kind: 'table', file, source: 'x' })),
  pipe('weights', (weights) => ({ kind: 'supernet', weights })),
  {
    kind: 'paths',
    name: 'a space that names a path for its network',
    run: async (daemon) =>
      refusalOf(
        await daemon.post('/studies', {
          name: 'a',
          space: { kind: 'instatune', id: 'a', network: '../../../../dev/stdin' },
          sampler: { name: 'random' },
          devices: ['x'],
          objectives: ['latencyUs'],
          budget: { trials: 1 },
        }),
      ),
  },
];

/** Many messages or connections at once. */
export const floods: readonly Attack[] = [
  {
    kind: 'floods',
    name: '4,000 connections that say nothing, beside a right one',
    run: async (daemon) => {
      const { port } = new URL(daemon.url);
      const before = await daemon.sockets();
      const silent = Array.from({ length: 4000 }, () =>
        connect(Number(port), '127.0.0.1')
          .on('error', () => {})
          .resume(),
      );
      await systemClock.sleep(1000);
      const { status } = await daemon.fetch('/devices');
      // It closes them in time. A client may hold more, which the kernel refused behind a full backlog.
      let open = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 60 && open > 1; i++) {
        await systemClock.sleep(1000);
        open = (await daemon.sockets()) - before;
      }
      for (const socket of silent) socket.destroy();
      return { code: status === 200 && open <= 1 ? 'LET IN' : null, note: `${status}, ${open} are open` };
    },
  },
  {
    kind: 'floods',
    name: '300 clients that ask for a measurement and leave',
    run: async (daemon) => {
      const { devices } = (await (await daemon.fetch('/devices')).json()) as { devices: { id: string }[] };
      const device = devices.find(({ id }) => id.includes('cpu'))?.id ?? '';
      await daemon.post(`/devices/${device}/adopt`, {});
      const { sha256 } = (await (await daemon.post('/models', rightChain(20))).json()) as { sha256: string };
      const body = JSON.stringify({ model: sha256, device, protocol: 'careful' });
      const init = { method: 'POST', headers: json, body };
      await Promise.all(
        Array.from({ length: 300 }, (_, i) =>
          daemon
            .fetch('/measurements', { ...init, signal: AbortSignal.timeout(20 + (i % 50)) })
            .catch(() => null),
        ),
      );
      // Nothing of theirs is left to do.
      for (let i = 0; i < 60; i++) {
        const counts = await Promise.all(
          ['queued', 'running'].map(async (state) => {
            const found = (await (await daemon.fetch(`/jobs?state=${state}&limit=1`)).json()) as {
              total: number;
            };
            return found.total;
          }),
        );
        if (counts.every((n) => n === 0)) return { code: 'CANCELLED' };
        await systemClock.sleep(500);
      }
      return { code: null, note: 'their jobs still wait or run' };
    },
  },
  {
    kind: 'floods',
    name: '50,000 subscriptions on one channel',
    run: async (daemon) => {
      const token = await localTokenFor(daemon.url);
      const socket = new WebSocket(`${daemon.url.replace('http', 'ws')}/v1/ws`, {
        headers: { authorization: `Bearer ${token}` },
      });
      await new Promise((resolve) => socket.once('open', resolve));
      const closed = new Promise<Outcome>((resolve) =>
        socket.once('close', (code) => resolve({ code: `CLOSED ${code}` })),
      );
      socket.on('error', () => {});
      for (let i = 0; i < 50_000; i++) socket.send('{"op":"sub","topics":["devices"],"since":0}');
      const never = systemClock.sleep(60_000).then((): Outcome => ({ code: null, note: 'it stays open' }));
      return Promise.race([closed, never]);
    },
  },
  ...(
    [
      ['a message in 3,000 fragments of a kilobyte', '/v1/ws', 1000, 3000],
      ['a message in fragments without an end or a byte', '/v1/join', 0, 200_000],
    ] as const
  ).map(
    ([name, path, bytes, most]): Attack => ({
      kind: 'floods',
      name,
      run: async (daemon) => {
        const token = await localTokenFor(daemon.url);
        const socket = new WebSocket(`${daemon.url.replace('http', 'ws')}${path}`, {
          headers: { authorization: `Bearer ${token}` },
        });
        socket.on('error', () => {});
        await new Promise((resolve) => socket.once('open', resolve));
        const closed = new Promise<Outcome>((resolve) =>
          socket.once('close', (code) => resolve({ code: `CLOSED ${code}` })),
        );
        const text = 'a'.repeat(bytes);
        for (let i = 0; i < most && socket.readyState === WebSocket.OPEN; i++) {
          socket.send(text, { fin: false });
          if (i % 1000 === 999) await systemClock.sleep(1);
        }
        const never = systemClock.sleep(60_000).then((): Outcome => ({ code: null, note: 'it stays open' }));
        return Promise.race([closed, never]);
      },
    }),
  ),
];
