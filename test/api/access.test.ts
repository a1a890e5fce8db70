import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { Access } from '../../daemon/access/access.js';
import { localTokenFor } from '../../daemon/access/local-token.js';
import type { AuditEntry } from '../../daemon/api/caller.js';
import { DaemonClient } from '../../daemon/api/client.js';
import { systemClock } from '../../daemon/core/clock.js';
import type { Json } from '../../daemon/core/json.js';
import { Daemon } from '../../daemon/process/daemon.js';
import { runCommand } from '../cli/run-command.js';

const { signal } = new AbortController();
const json = { 'content-type': 'application/json' };

async function startDaemon(t: Test) {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-access-'));
  const audit: AuditEntry[] = [];
  const daemon = new Daemon({ dataDir, port: 0, clock: systemClock, onAudit: (entry) => audit.push(entry) });
  const url = await daemon.start(signal);
  t.teardown(async () => {
    await daemon.stop();
    await rm(dataDir, { recursive: true, force: true });
  });
  const ask = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(`${url}${path}`, { redirect: 'manual', ...init });
    const body = (await response.json().catch(() => null)) as { code?: string } | null;
    return { status: response.status, code: body?.code, headers: response.headers };
  };
  return { daemon, dataDir, url, audit, ask };
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

t.test('who shows no token gets 401, at every door', async (t) => {
  const { url, dataDir, ask, audit } = await startDaemon(t);
  for (const headers of [
    {},
    bearer('guessed'),
    bearer('hilda.00000000.guessed'),
    { authorization: 'Basic eDp5' },
  ])
    for (const path of ['/v1/health', '/v1/devices', '/v1/events?since=0', '/v1/access/tokens'])
      t.match(await ask(path, { headers }), { status: 401, code: 'TOKEN_REFUSED' }, path);
  t.match(await ask('/v1/studies', { method: 'POST', headers: json, body: '{}' }), { status: 401 });
  t.match(await ask('/v1/models', { method: 'POST', body: Buffer.alloc(10) }), { status: 401 });
  t.equal((await ask('/v1/openapi.json')).status, 200, 'the description says nothing of this daemon');
  t.match(audit.at(0), { who: 'nobody known', what: 'POST /v1/studies', status: 401 });

  const refused = await new Promise((resolve) => {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`);
    socket.once('unexpected-response', (_, response) => resolve(response.statusCode));
    socket.once('open', () => resolve('open'));
  });
  t.equal(refused, 401);

  const token = await localTokenFor(url);
  t.equal(token, (await readFile(join(dataDir, 'token'), 'utf8')).trim());
  t.equal((await stat(join(dataDir, 'token'))).mode & 0o777, 0o600);
  t.equal((await ask('/v1/health', { headers: bearer(token ?? '') })).status, 200);
  t.equal(
    (await ask('/v1/health', { headers: { ...bearer(token ?? ''), 'sec-fetch-site': 'cross-site' } })).code,
    'ORIGIN_REFUSED',
  );
  t.equal((await new DaemonClient(url).health({ signal })).devices >= 0, true, 'commands find it themselves');
  await t.rejects(new DaemonClient(url, { token: 'wrong' }).health({ signal }), { code: 'TOKEN_REFUSED' });
});

t.test('tokens may what their scope says, until they are revoked or run out', async (t) => {
  const { url } = await startDaemon(t);
  const made = JSON.parse((await runCommand(url, 'token', 'create', 'CI', '--scope', 'read', '--json')).out);
  const reader = new DaemonClient(url, { token: made.token });
  await reader.devices({ signal });
  await t.rejects(reader.uploadModel(new Uint8Array(4), { signal }), { code: 'SCOPE_MISSING' });
  await t.rejects(reader.tokens({ signal }), { code: 'SCOPE_MISSING' });
  await t.rejects(reader.invite('agent', { signal }), { code: 'SCOPE_MISSING' });
  const listed = (await runCommand(url, 'token', 'list')).out;
  t.match(listed, new RegExp(`${made.id} +CI +token +read +active`));
  t.notMatch(listed, made.token.split('.')[2]);
  t.equal((await runCommand(url, 'token', 'revoke', made.id)).code, 0);
  await t.rejects(reader.devices({ signal }), { code: 'TOKEN_REFUSED' });
  t.equal((await runCommand(url, 'token', 'revoke', 'ffffffff')).code, 3);
});

t.test('a token runs out, and its hash alone is stored', async (t) => {
  const values = new Map<string, Json>();
  let nowMs = 1e12;
  const clock = { ...systemClock, nowMs: () => nowMs };
  const store = {
    value: async (key: string) => values.get(key) ?? null,
    setValue: async (key: string, value: Json) => void values.set(key, value),
  };
  const access = new Access(store, clock, 'local');
  const all = await Promise.all(
    [1, 2, 3].map((i) => access.create({ name: `t${i}`, scope: 'read', days: i })),
  );
  t.equal((await access.list()).length, 3, 'made at once, all are kept');
  const [first] = all;
  t.notMatch(JSON.stringify([...values]), first?.token.split('.')[2]);
  t.match(await access.recognise(first?.token), { scope: 'read', local: false });
  nowMs += 24 * 3600 * 1000;
  await t.rejects(access.recognise(first?.token), { code: 'TOKEN_REFUSED' });
  t.same(
    (await access.list()).map(({ name }) => name),
    ['t2', 't3'],
  );
  const code = access.link();
  nowMs += 10 * 60_000;
  await t.rejects(access.redeem(code), { code: 'TOKEN_REFUSED' });
  for (let i = 0; i < 55; i++) await access.redeem(access.link());
  t.equal((await access.list()).filter(({ kind }) => kind === 'page').length, 50, 'sessions are bounded');
});

t.test('the page gets its session by a link that works once', async (t) => {
  const { daemon, ask } = await startDaemon(t);
  const { pathname, search } = new URL(daemon.pageLink());
  const opened = await ask(pathname + search);
  t.match(opened, { status: 303 });
  const set = opened.headers.get('set-cookie') ?? '';
  t.match(set, /^hilda_\d+=hilda\.\S+; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Strict$/);
  t.equal(opened.headers.get('location'), '/');
  t.match(await ask(pathname + search), { status: 401, code: 'TOKEN_REFUSED' }, 'once');
  t.match(await ask('/open?code=a&code=b'), { status: 401 });
  const cookie = `other=1; ${set.split(';')[0]}`;
  t.equal((await ask('/v1/devices', { headers: { cookie } })).status, 200);
  t.match(await ask('/v1/devices', { headers: { cookie, 'sec-fetch-site': 'same-site' } }), {
    code: 'ORIGIN_REFUSED',
  });
  const spec = (evaluator: Json) => ({ name: 'x', evaluator });
  const create = (evaluator: Json) =>
    ask('/v1/studies', {
      method: 'POST',
      headers: { ...json, cookie },
      body: JSON.stringify(spec(evaluator)),
    });
  for (const evaluator of [
    { kind: 'command', command: ['/bin/sh', '-c', 'id'] },
    { kind: 'table', file: '/etc/passwd', source: 'x' },
    { kind: 'inherit', work: '/tmp' },
    { kind: 'supernet', weights: '/etc/passwd' },
    { kind: 'supernet', dataset: { kind: 'idx', folder: '/' } },
    { kind: 'constructor' },
    {},
  ])
    t.match(await create(evaluator), { status: 403, code: 'CONSENT_NEEDED' }, JSON.stringify(evaluator));
  t.match(await create({ kind: 'supernet' }), { code: 'SPEC_INVALID' }, 'its own check says the rest');
  t.match(
    await ask('/v1/specialisations', {
      method: 'POST',
      headers: { ...json, cookie },
      body: JSON.stringify({ name: 'x' }),
    }),
    { code: 'REQUEST_INVALID' },
  );
});

t.test('the local user may name programs', async (t) => {
  const { url } = await startDaemon(t);
  const spec = { name: 'x', evaluator: { kind: 'command', command: ['true'] } };
  await t.rejects(new DaemonClient(url).createStudy(spec, { signal }), { code: 'SPEC_INVALID' });
});
