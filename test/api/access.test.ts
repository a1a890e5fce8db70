import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { WebSocket } from 'ws';
import { Access } from '../../daemon/access/access.js';
import { StoredJoinKeys } from '../../daemon/access/join-keys.js';
import { localTokenFor } from '../../daemon/access/local-token.js';
import type { AuditEntry } from '../../daemon/api/caller.js';
import { DaemonClient } from '../../daemon/api/client.js';
import { systemClock } from '../../daemon/core/clock.js';
import type { Json } from '../../daemon/core/json.js';
import { readPluginSettings } from '../../daemon/plugins/read-settings.js';
import { Daemon, type DaemonOptions } from '../../daemon/process/daemon.js';
import { runCommand } from '../cli/run-command.js';

const { signal } = new AbortController();
const json = { 'content-type': 'application/json' };

async function startDaemon(t: Test, options: Partial<DaemonOptions> = {}) {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-access-'));
  const audit: AuditEntry[] = [];
  const daemon = new Daemon({
    dataDir,
    port: 0,
    clock: systemClock,
    onAudit: (entry) => audit.push(entry),
    ...options,
  });
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
  const { daemon, url, ask } = await startDaemon(t);
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
  const post = (headers: Record<string, string>, path: string, body: Json) =>
    ask(path, { method: 'POST', headers: { ...json, ...headers }, body: JSON.stringify(body) });
  t.match(await post({ cookie }, '/v1/joiners/invite', { kind: 'page' }), { status: 200 });
  for (const path of ['/v1/studies', '/v1/access/tokens', '/v1/devices/discover'])
    t.match(await post({ cookie }, path, {}), { status: 403, code: 'SCOPE_MISSING' }, path);

  const request = { name: 'x', scope: 'admin', days: 1 } as const;
  const { token } = await new DaemonClient(url).createToken(request, { signal });
  const create = (evaluator: Json) => post(bearer(token), '/v1/studies', { name: 'x', evaluator });
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
  t.match(await post(bearer(token), '/v1/specialisations', { name: 'x' }), { code: 'REQUEST_INVALID' });
});

t.test('what the local user agreed to beforehand, tokens may name', async (t) => {
  const agreed = { kind: 'command', command: ['true'], metrics: ['accuracy'] };
  const { url, ask } = await startDaemon(t, { allowedEvaluators: [agreed] });
  const request = { name: 'x', scope: 'measure', days: 1 } as const;
  const { token } = await new DaemonClient(url).createToken(request, { signal });
  const code = async (evaluator: Json) => {
    const body = JSON.stringify({ name: 'x', evaluator });
    return (await ask('/v1/studies', { method: 'POST', headers: { ...json, ...bearer(token) }, body })).code;
  };
  const { kind, command, metrics } = agreed;
  t.equal(await code({ metrics, command, kind }), 'SPEC_INVALID', 'its own check says the rest');
  t.equal(await code({ ...agreed, command: ['true', 'x'] }), 'CONSENT_NEEDED');
  t.equal(await code({ kind, command }), 'CONSENT_NEEDED', 'word for word');
});

t.test('a channel ends with the token that opened it', async (t) => {
  const { url } = await startDaemon(t);
  const client = new DaemonClient(url);
  const { id, token } = await client.createToken({ name: 'x', scope: 'read', days: 1 }, { signal });
  const open = async (shown: string) => {
    const headers = { authorization: `Bearer ${shown}` };
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/ws`, { headers });
    t.teardown(() => socket.terminate());
    await new Promise((resolve) => socket.once('open', resolve));
    return socket;
  };
  const [revoked, kept] = [await open(token), await open((await localTokenFor(url)) ?? '')];
  const closed = new Promise((resolve) => revoked.once('close', resolve));
  await client.revokeToken(id, { signal });
  t.equal(await closed, 1008);
  t.equal(kept.readyState, WebSocket.OPEN);
});

t.test('what another user could have put into the data folder is refused', async (t) => {
  const start = (dataDir: string) =>
    new Daemon({ dataDir, port: 0, clock: systemClock, shippedDrivers: false }).start(signal);
  const dataDir = t.testdir({ 'retention.json': '{}', 'plugins.json': '{}' });
  const refused = async (message: RegExp, name = 'retention.json') => {
    const read: Promise<unknown> = name === 'plugins.json' ? readPluginSettings(dataDir, {}) : start(dataDir);
    await t.rejects(read as Promise<never>, { code: 'USAGE_INVALID', message }, `${name} ${message}`);
  };
  for (const name of ['retention.json', 'plugins.json']) {
    const path = join(dataDir, name);
    await chmod(path, 0o666);
    await refused(/may be written by everybody/, name);
    await rm(path);
    execFileSync('mkfifo', [path]);
    await refused(/no regular file/, name);
    await rm(path);
    await mkdir(path);
    await refused(/no regular file/, name);
    await rm(path, { recursive: true });
    if (process.getuid?.() !== 0) continue;
    await writeFile(path, '{}', { mode: 0o600 });
    await chown(path, 65_534, 65_534);
    await refused(/belongs to another user/, name);
    await rm(path);
  }
  if (process.getuid?.() !== 0) return;
  await chown(dataDir, 65_534, 65_534);
  await t.rejects(start(dataDir), { code: 'USAGE_INVALID', message: /belongs to another user/ });
  await symlink(dataDir, `${dataDir}-link`);
  await t.rejects(start(`${dataDir}-link`), { code: 'USAGE_INVALID', message: /belongs to another user/ });
  await rm(`${dataDir}-link`);
  await chown(dataDir, 0, 0);
});

t.test('machines join with a token of their own scope, as often as they like', async (t) => {
  const values = new Map<string, Json>();
  const store = {
    value: async (key: string) => values.get(key) ?? null,
    setValue: async (key: string, value: Json) => void values.set(key, value),
  };
  const access = new Access(store, systemClock, 'local');
  const keys = new StoredJoinKeys(store, systemClock, (token) => access.invitesAgents(token));
  const { record, token } = await access.create({ name: 'rack', scope: 'agent', days: 1 });
  const other = await access.create({ name: 'reader', scope: 'measure', days: 1 });
  const [first, second] = [await keys.redeem('agent', token, 'a'), await keys.redeem('agent', token, 'b')];
  t.not(first.id, second.id);
  t.match(await keys.recognise('agent', String(first.key)), { id: first.id });
  await t.rejects(keys.redeem('page', token, 'c'), { code: 'PAIRING_REFUSED' });
  await t.rejects(keys.redeem('agent', other.token, 'd'), { code: 'PAIRING_REFUSED' });
  await access.revoke(record.id);
  await t.rejects(keys.redeem('agent', token, 'e'), { code: 'PAIRING_REFUSED' });
});

t.test('other machines are served the API by https, with tokens of their own', async (t) => {
  const { url, dataDir } = await startDaemon(t, { lan: { https: 0, hostname: '127.0.0.1', api: true } });
  const client = new DaemonClient(url);
  const { origin, pathname, search } = new URL((await client.pageLink({ signal })).elsewhere[0] ?? '');
  t.match(origin, /^https:/);
  // As NODE_EXTRA_CA_CERTS has it.
  const ca = await readFile(join(dataDir, 'certificates.pem'));
  const far = (path: string, headers: Record<string, string> = {}) =>
    new Promise<{ status: number; code: string | undefined; cookie: string }>((resolve, reject) => {
      const sent = httpsRequest(`${origin}${path}`, { headers, ca }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part) => {
          text += part;
        });
        response.once('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            code: /"code":"(\w+)"/.exec(text)?.[1],
            cookie: response.headers['set-cookie']?.[0] ?? '',
          }),
        );
      });
      sent.once('error', reject).end();
    });
  const refused = { status: 401, code: 'TOKEN_REFUSED' };
  t.match(await far('/v1/devices'), refused);
  t.match(await far('/v1/devices', bearer(String(await localTokenFor(url)))), refused, 'it stays at home');
  const { token } = await client.createToken({ name: 'desk', scope: 'read' }, { signal });
  t.match(await far('/v1/devices', bearer(token)), { status: 200 });
  t.match(await far('/v1/devices', { ...bearer(token), origin: 'https://evil.example' }), { status: 403 });

  const opened = await far(pathname + search);
  t.match(opened, { status: 303, cookie: /SameSite=Strict; Secure$/ });
  const cookie = String(opened.cookie.split(';')[0]);
  t.match(await far('/v1/devices', { cookie }), { status: 200 });
  const status = (headers: Record<string, string>) =>
    new Promise((resolve) => {
      const socket = new WebSocket(`${origin.replace('http', 'ws')}/v1/ws`, { headers, ca });
      socket.once('unexpected-response', (_, response) => resolve(response.statusCode));
      socket.once('open', () => {
        socket.close();
        resolve('open');
      });
    });
  t.equal(await status({ cookie }), 'open');
  t.equal(await status({}), 401);

  for (let i = 0; i < 30; i++) await far('/v1/devices', bearer('guessed'));
  t.match(await far('/v1/devices', bearer('guessed')), { status: 429, code: 'ATTEMPTS_LIMITED' });
  t.equal((await client.devices({ signal })).length >= 0, true, 'this machine goes on');
});

t.test('the local user may name programs', async (t) => {
  const { url } = await startDaemon(t);
  const spec = { name: 'x', evaluator: { kind: 'command', command: ['true'] } };
  await t.rejects(new DaemonClient(url).createStudy(spec, { signal }), { code: 'SPEC_INVALID' });
});
