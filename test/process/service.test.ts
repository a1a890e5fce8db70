import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { redacted } from '../../daemon/core/redact.js';
import { openLog } from '../../daemon/process/log.js';
import { sendNotification } from '../../daemon/process/notify-tool.js';
import { isJournal, ServiceManager } from '../../daemon/process/service-manager.js';
import { until } from '../until.js';

/** A service manager's part, played without one: its socket in Python, descriptors and variables by `spawn`. */
const main = fileURLToPath(new URL('../../daemon/cli/main.js', import.meta.url));
const listener = `
import json, os, socket, sys
line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
line.bind(sys.argv[1])
print('bound', flush=True)
while True:
    message, descriptors, _, _ = socket.recv_fds(line, 8192, 8)
    for one in descriptors: os.close(one)
    print(json.dumps(message.decode().split('\\n')), flush=True)
`;

async function notifySocket(t: Test): Promise<{ readonly path: string; readonly messages: string[][] }> {
  // Addresses of sockets are short.
  const folder = mkdtempSync(join(tmpdir(), 'hilda-notify-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'notify');
  const child = spawn('python3', ['-c', listener, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  const messages: string[][] = [];
  const lines = createInterface({ input: child.stdout });
  await new Promise((resolve) => lines.once('line', resolve));
  lines.on('line', (line) => void messages.push(JSON.parse(line) as string[]));
  return { path, messages };
}

/** The daemon as a manager starts it: the variables name its own process. */
function startAsService(
  t: Test,
  { env, sockets = [] }: { env: Record<string, string>; sockets?: readonly number[] },
): { readonly child: ChildProcess; readonly out: () => string; readonly ended: Promise<number | string> } {
  const folder = t.testdir({ data: {} });
  const script = 'export LISTEN_PID=$$ WATCHDOG_PID=$$; exec "$@"';
  const args = ['-c', script, 'sh', process.execPath, main, 'up', '--data', join(folder, 'data'), '--json'];
  const child = spawn('/bin/sh', [...args, '--port', '0', '--log-level', 'debug'], {
    stdio: ['ignore', 'pipe', 'pipe', ...sockets],
    env: { ...process.env, XDG_STATE_HOME: join(folder, 'state'), ...env },
  });
  t.teardown(() => child.kill('SIGKILL'));
  let out = '';
  for (const stream of [child.stdout, child.stderr])
    stream?.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
  const ended = new Promise<number | string>((resolve) =>
    child.once('exit', (code, signal) => resolve(signal ?? code ?? -1)),
  );
  return { child, out: () => out, ended };
}

const listening = async (host = '127.0.0.1'): Promise<{ server: Server; fd: number; port: number }> => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { fd } = (server as unknown as { readonly _handle: { readonly fd: number } })._handle;
  return { server, fd, port: (server.address() as AddressInfo).port };
};

const said = (messages: readonly (readonly string[])[], line: string): number =>
  messages.filter((lines) => lines.includes(line)).length;

t.test('a service tells its manager of start, life and stop, on the socket that it was passed', async (t) => {
  const { path, messages } = await notifySocket(t);
  const { fd, port, server } = await listening();
  const { child, out, ended } = startAsService(t, {
    env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: '1500000', LISTEN_FDS: '1', LISTEN_FDNAMES: 'hilda.socket' },
    sockets: [fd],
  });
  // The daemon has it by now; here it would take connections away.
  server.close();
  const early = await fetch(`http://127.0.0.1:${port}/readyz`);
  t.ok([200, 503].includes(early.status), 'a request waits in the socket until the daemon takes it');
  await until(() => said(messages, 'READY=1') === 1, 'it is ready');
  t.ok(
    messages[0]?.some((line) => line.startsWith('STATUS=')) &&
      said(messages, 'EXTEND_TIMEOUT_USEC=60000000') > 0,
  );
  t.ok(said(messages, `STATUS=it serves at http://127.0.0.1:${port}`) > 0, 'at the port of the socket');
  t.same(await (await fetch(`http://127.0.0.1:${port}/readyz`)).json(), { status: 'ready', notReady: [] });
  t.same(await (await fetch(`http://127.0.0.1:${port}/livez`)).json(), { status: 'ok' });
  await until(() => said(messages, 'WATCHDOG=1') >= 3, 'the watchdog is fed');
  const environment = readFileSync(`/proc/${child.pid}/environ`, 'utf8');
  t.match(environment, /NOTIFY_SOCKET/, 'as it was passed');
  await fetch(`http://127.0.0.1:${port}/v1/openapi.json`);
  await until(() => /GET \/v1\/openapi\.json.*"read"/.test(out()), 'debug tells of reads, too');
  child.kill('SIGTERM');
  t.equal(await ended, 0);
  await until(() => said(messages, 'STOPPING=1') === 1, 'it stops');
});

t.test('a socket that is open to networks is refused, and so is what is none', async (t) => {
  const all = await listening('0.0.0.0');
  const open = startAsService(t, { env: { LISTEN_FDS: '1' }, sockets: [all.fd] });
  all.server.close();
  t.equal(await open.ended, 2);
  t.match(open.out(), /listens on 0\.0\.0\.0, not on loopback.*USAGE_INVALID/);
  const file = openSync('/dev/null', 'r');
  const none = startAsService(t, { env: { LISTEN_FDS: '1' }, sockets: [file] });
  t.equal(await none.ended, 2);
  t.match(none.out(), /no listening socket/);
});

t.test('variables are ours where they name this process, and go no further', async (t) => {
  const env: Record<string, string | undefined> = {
    LISTEN_PID: '41',
    LISTEN_FDS: '3',
    LISTEN_FDNAMES: 'a:b:c',
    NOTIFY_SOCKET: '/run/x',
    WATCHDOG_PID: '41',
    WATCHDOG_USEC: '3000000',
    PATH: '/bin',
  };
  const sent: string[] = [];
  const options = {
    clock: systemClock,
    send: async (_: string, lines: readonly string[]) => void sent.push(lines.join()),
  };
  t.throws(() => ServiceManager.take({ ...env }, { ...options, pid: 41 }), { code: 'USAGE_INVALID' });
  const manager = ServiceManager.take(env, { ...options, pid: 42 });
  t.same(env, { PATH: '/bin' });
  t.equal(manager.socket, undefined);
  await manager.watch(async () => true, AbortSignal.abort());
  t.same(sent, [], 'the watchdog is that of another process');

  const watched = ServiceManager.take({ NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '30000' }, options);
  const life = new AbortController();
  let asked = 0;
  const watching = watched.watch(async () => ++asked > 3, life.signal);
  await until(() => sent.length > 0, 'it is well again');
  t.ok(asked > 3, 'one that is not well is not fed');
  life.abort();
  await watching;

  const failures: string[] = [];
  const broken = ServiceManager.take(
    { NOTIFY_SOCKET: '/nowhere' },
    {
      clock: systemClock,
      send: async () => {
        throw new Error('no tool');
      },
      onFailure: ({ message }) => failures.push(message),
    },
  );
  await broken.ready('it\nserves');
  await broken.stopping();
  t.same(failures, ['no tool'], 'it is said once');
  t.equal(isJournal(1, {}), false);
});

t.test('messages go by Python where systemd-notify is missing', async (t) => {
  const { path, messages } = await notifySocket(t);
  const bin = join(t.testdir(), 'bin');
  mkdirSync(bin);
  symlinkSync('/usr/bin/python3', join(bin, 'python3'));
  const before = process.env.PATH;
  process.env.PATH = bin;
  t.teardown(() => {
    process.env.PATH = before;
  });
  await sendNotification(path, ['READY=1', 'STATUS=a b']);
  await until(() => messages.length > 0, 'it arrives');
  t.same(messages[0], ['READY=1', 'STATUS=a b']);
  process.env.PATH = '/nowhere';
  await t.rejects(sendNotification(path, ['READY=1']), { code: 'INTERNAL', hint: /systemd-notify/ });
});

t.test('no line of a log holds a secret, wherever it stands', async (t) => {
  const secrets = [
    'hilda.1a2b3c4d.AbCdEfGhIjKlMnOpQrStUvWxYz012345',
    'browser-00ff.AbCdEfGhIjKlMnOpQrStUvWxYz_-2345',
    'agent-00ff12.AbCdEfGhIjKlMnOpQrStUvWxYz_-2345',
    '0123456789ab.AbCdEfGhIjKlMnOpQrStUvWx',
    'AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-AbCdE',
  ];
  const path = join(t.testdir(), 'log');
  const log = openLog('info', openSync(path, 'w', 0o600));
  for (const secret of secrets) {
    log.info({ err: new Error(`no such key: ${secret}`) }, `asked with ${secret}`);
    log.info({ headers: { authorization: `Bearer ${secret}`, cookie: `hilda_4380=${secret}; a=b` } }, 'x');
    log.info({ url: `http://127.0.0.1:4380/open?code=${secret}` }, 'x');
    log.debug('not at this level');
  }
  log.info({ url: '/open?code=AbCdEfGhIjKlMnOpQrStUvWxYz_-2345', key: 'Basic dXNlcjpwYXNz' }, 'x');
  const written = readFileSync(path, 'utf8');
  for (const secret of [...secrets, 'dXNlcjpwYXNz']) t.notOk(written.includes(secret.slice(-24)), secret);
  t.notMatch(written, /not at this level/);
  t.match(written, /hilda\.1a2b3c4d\.\[hidden\]/, 'which one it was is still told');
  for (const line of written.trim().split('\n')) t.ok(JSON.parse(line));
  const plain = `study-1 ${'a'.repeat(64)} trial_0123 /v1/models/${'0f'.repeat(32)} code=SPEC_INVALID v1.2.3`;
  t.equal(redacted(plain), plain);
});

const hasAnalyzer = spawnSync('systemd-analyze', ['--version']).status === 0;

t.test('systemd finds nothing wrong with the units', { skip: !hasAnalyzer }, async (t) => {
  const folder = t.testdir();
  const units = fileURLToPath(new URL('../../../scripts/systemd/', import.meta.url));
  for (const name of ['hilda.service', 'hilda.socket']) {
    // Node may lie elsewhere on this machine.
    const unit = readFileSync(join(units, name), 'utf8').replace('/usr/bin/node', process.execPath);
    writeFileSync(join(folder, name), unit);
  }
  const paths = ['hilda.service', 'hilda.socket'].map((name) => join(folder, name));
  const { stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...paths], { encoding: 'utf8' });
  // What it says of other units is this machine's.
  t.same(
    stderr.split('\n').filter((line) => line.includes('hilda')),
    [],
  );
});
