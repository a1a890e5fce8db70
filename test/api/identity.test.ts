import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer as createPlainServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import t, { type Test } from 'tap';
import { KnownDaemonFile } from '../../daemon/agent/known-daemon.js';
import { issueCertificate } from '../../daemon/api/identity/certificate.js';
import { DaemonIdentity } from '../../daemon/api/identity/daemon-identity.js';
import { daemonKey, pinOf } from '../../daemon/api/identity/daemon-key.js';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import type { HildaError } from '../../daemon/core/errors.js';
import { hostNames, isOwnAddress, lanAddresses } from '../../daemon/devices/own-addresses.js';
import { connectWs } from '../../daemon/process/connect-ws.js';
import { DaemonDialer } from '../../daemon/process/dial-daemon.js';
import { LanDoor } from '../../daemon/process/lan-access.js';
import { openJoinBench } from '../devices/join-bench.js';
import { temporaryFolder } from './bench.js';

const { signal } = new AbortController();
const dayMs = 86_400_000;
const start = Date.UTC(2026, 10, 30);

/** A daemon's identity on a machine whose addresses the test says. */
const opened = (dataDir: string, addresses: readonly string[], nowMs = start, names = ['bench']) =>
  DaemonIdentity.open({
    dataDir,
    clock: new ManualClock(nowMs),
    addresses: () => addresses,
    names: () => names,
  });

/** What a version before pinned keys left in its folder. */
async function formerDaemon(dataDir: string, nowMs = start): Promise<X509Certificate> {
  const key = await daemonKey(dataDir);
  const made = await issueCertificate(key, {
    names: ['localhost', 'bench'],
    addresses: ['127.0.0.1', '10.0.0.2'],
    nowMs,
  });
  await writeFile(join(dataDir, 'certificate.pem'), `${key.privateKey}\n${made}\n`, { mode: 0o600 });
  await rm(join(dataDir, 'key.pem'));
  return made;
}

t.test('the key outlasts addresses, names and certificates', async (t) => {
  const folder = await temporaryFolder(t);
  const first = await opened(folder, ['10.0.0.2']);
  const { fingerprint } = first.certificateFor('10.0.0.2');
  t.equal((await stat(join(folder, 'key.pem'))).mode & 0o777, 0o600);
  t.same((await readdir(folder)).sort(), ['certificates.pem', 'key.pem'], 'nothing is left of the writing');

  const again = await opened(folder, ['10.0.0.2']);
  t.equal(again.pin, first.pin);
  t.equal(again.certificateFor('10.0.0.2').fingerprint, fingerprint, 'a restart changes nothing');

  const grown = await opened(folder, ['10.0.0.2', '172.17.0.1']);
  t.equal(grown.pin, first.pin, 'a new interface leaves the key');
  const other = grown.certificateFor('172.17.0.1');
  t.not(other.fingerprint, fingerprint);
  t.ok(new X509Certificate(other.cert).checkIP('172.17.0.1'));
  t.equal(grown.certificateFor('10.0.0.2').fingerprint, fingerprint, 'and what browsers accepted before');
  t.equal(grown.certificateFor('::ffff:10.0.0.2').fingerprint, fingerprint, 'however the socket calls it');
  t.equal(grown.certificateNamed('bench').fingerprint, fingerprint);

  const renamed = await opened(folder, ['10.0.0.2'], start, ['attic', 'attic.local']);
  t.equal(renamed.pin, first.pin);
  t.ok(new X509Certificate(renamed.certificateNamed('attic.local').cert).checkHost('attic.local'));

  const late = await opened(folder, ['10.0.0.2'], start + 800 * dayMs);
  const renewed = new X509Certificate(late.certificateFor('10.0.0.2').cert);
  t.equal(late.pin, first.pin);
  t.ok(Date.parse(renewed.validTo) > start + 1600 * dayMs, 'renewed before it ends');
  t.equal(pinOf(renewed.publicKey), first.pin, 'and for the same key');
  for (const identity of [first, grown, renamed, late]) {
    const { cert } = identity.certificateFor('10.0.0.2');
    const parsed = new X509Certificate(cert);
    t.ok(parsed.verify(parsed.publicKey), 'its signature holds by a reader that is not ours');
    const life = Date.parse(parsed.validTo) - Date.parse(parsed.validFrom);
    t.ok(life <= 825 * dayMs, 'no longer than Apple accepts');
  }
});

t.test('many networks later there are few certificates, and those of now are kept', async (t) => {
  const folder = await temporaryFolder(t);
  for (let n = 1; n <= 40; n++) await opened(folder, [`10.0.${n}.2`]);
  const last = await opened(folder, ['10.0.40.2']);
  const text = await readFile(join(folder, 'certificates.pem'), 'utf8');
  t.ok((text.match(/BEGIN/g) ?? []).length <= 32);
  t.ok(new X509Certificate(last.certificateFor('10.0.40.2').cert).checkIP('10.0.40.2'));
});

t.test('an earlier version of hilda: its key and certificate go on', async (t) => {
  const folder = await temporaryFolder(t);
  const former = await formerDaemon(folder);
  const identity = await opened(folder, ['10.0.0.2', '172.17.0.1']);
  t.equal(identity.pin, pinOf(former.publicKey));
  t.equal(identity.certificateFor('10.0.0.2').fingerprint, former.fingerprint256, 'old pins hold there');
  t.equal((await opened(folder, ['10.0.0.2'])).certificateFor('10.0.0.2').fingerprint, former.fingerprint256);
  t.match(await readFile(join(folder, 'certificate.pem'), 'utf8'), /PRIVATE KEY/, 'the old file is left');
});

t.test('what is damaged, unreadable or open to others is said, and no new identity is made', async (t) => {
  const refused = async (why: string, spoil: (folder: string) => Promise<unknown>, name = why) => {
    const folder = await temporaryFolder(t);
    const { pin } = await opened(folder, ['10.0.0.2']);
    const before = await readFile(join(folder, 'key.pem'));
    await spoil(folder);
    const present = await readFile(join(folder, 'key.pem')).catch(() => null);
    await t.rejects(opened(folder, ['10.0.0.2']), { code: 'IDENTITY_UNUSABLE', details: { why } }, name);
    t.same(await readFile(join(folder, 'key.pem')).catch(() => null), present, 'the key file is as it was');
    await rm(join(folder, 'key.pem'), { recursive: true, force: true });
    await writeFile(join(folder, 'key.pem'), before, { mode: 0o600 });
    await rm(join(folder, 'certificates.pem'), { recursive: true, force: true });
    t.equal((await opened(folder, ['10.0.0.2'])).pin, pin, 'a backup of the key is the daemon again');
  };
  await refused('damaged', (folder) => writeFile(join(folder, 'key.pem'), ''), 'emptied by a power cut');
  await refused('damaged', async (folder) => {
    const text = await readFile(join(folder, 'key.pem'), 'utf8');
    await writeFile(join(folder, 'key.pem'), text.slice(0, 100));
  });
  await refused('unreadable', async (folder) => {
    await rm(join(folder, 'key.pem'));
    await mkdir(join(folder, 'key.pem'));
  });
  await refused('permissions', (folder) => chmod(join(folder, 'key.pem'), 0o640));
  await refused('missing', (folder) => rm(join(folder, 'key.pem')));
  await refused('damaged', async (folder) => {
    const path = join(folder, 'certificates.pem');
    await writeFile(path, (await readFile(path, 'utf8')).replace(/[A-Za-z0-9]{8}/g, 'AAAAAAAA'));
  });
  await refused('damaged', (folder) => writeFile(join(folder, 'certificates.pem'), 'rubbish'));
  await refused('foreign', async (folder) => {
    const other = await temporaryFolder(t);
    await opened(other, ['10.0.0.2']);
    await writeFile(join(folder, 'certificates.pem'), await readFile(join(other, 'certificates.pem')));
  });

  const former = await temporaryFolder(t);
  await formerDaemon(former);
  await writeFile(join(former, 'certificate.pem'), 'half a file');
  await t.rejects(opened(former, []), { code: 'IDENTITY_UNUSABLE' }, 'that of an earlier version, too');
});

t.test('clocks that jump', async (t) => {
  const folder = await temporaryFolder(t);
  const { pin, ...first } = await opened(folder, ['10.0.0.2']).then((one) => ({
    pin: one.pin,
    fingerprint: one.certificateFor('10.0.0.2').fingerprint,
    fault: one.clockFault(),
  }));
  t.equal(first.fault, null);
  const back = await opened(folder, ['10.0.0.2'], 1000);
  t.match(back.clockFault(), { code: 'CLOCK_BEHIND' }, 'back in 1970');
  t.equal(back.certificateFor('10.0.0.2').fingerprint, first.fingerprint, 'the certificate stays');
  t.equal(back.pin, pin);
  const ahead = await opened(folder, ['10.0.0.2'], start + 5000 * dayMs);
  t.not(ahead.certificateFor('10.0.0.2').fingerprint, first.fingerprint);
  const right = await opened(folder, ['10.0.0.2']);
  t.equal(right.certificateFor('10.0.0.2').fingerprint, first.fingerprint, 'and is back with the right time');
  t.equal(right.clockFault(), null);
});

/** The kept files as before, and nothing half-written beside them. */
async function looksUntouched(t: Test, folder: string, before: ReadonlyMap<string, Buffer>): Promise<void> {
  t.same((await readdir(folder)).sort(), [...before.keys()].sort(), 'no half file is left');
  for (const [name, bytes] of before) t.ok((await readFile(join(folder, name))).equals(bytes), name);
}

/** False where a file system of a few pages can be mounted, otherwise why not. */
function mountMissing(): string | false {
  const folder = mkdtempSync(join(tmpdir(), 'hilda-mount-'));
  try {
    mountSmall(folder);
    execFileSync('umount', [folder]);
    return false;
  } catch {
    return 'no file system can be mounted here: it takes root';
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const mountSmall = (folder: string): void =>
  void execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder], { stdio: 'ignore' });

t.test('a full disk loses nothing, and makes no new identity', { skip: mountMissing() }, async (t) => {
  const folder = await temporaryFolder(t);
  mountSmall(folder);
  try {
    let addresses = ['10.0.0.2'];
    const identity = await DaemonIdentity.open({
      dataDir: folder,
      clock: new ManualClock(start),
      addresses: () => addresses,
      names: () => [],
    });
    const { fingerprint } = identity.certificateFor('10.0.0.2');
    const filler = join(folder, 'filler');
    await writeFile(filler, Buffer.alloc(2 ** 20)).catch(() => {});
    const kept = new Map<string, Buffer>();
    for (const name of await readdir(folder)) kept.set(name, await readFile(join(folder, name)));
    addresses = ['10.0.0.2', '10.0.0.3'];
    await t.rejects(identity.renew(), { code: 'DISK_FULL' });
    await looksUntouched(t, folder, kept);
    t.equal(identity.certificateFor('10.0.0.2').fingerprint, fingerprint, 'the kept ones are shown');
    await t.rejects(opened(folder, addresses), { code: 'DISK_FULL' }, 'at the start, too');
    await t.rejects(
      opened(join(folder, 'another'), addresses),
      { code: 'DISK_FULL' },
      'nor is a key made in part',
    );
    await rm(join(folder, 'another'), { recursive: true, force: true });
    await looksUntouched(t, folder, kept);
    await rm(filler);
    t.ok(await identity.renew(), 'the next look makes up for it');
    t.equal((await opened(folder, addresses)).pin, identity.pin);
  } finally {
    execFileSync('umount', [folder]);
  }
});

t.test('addresses and names of this machine', async (t) => {
  const one = (address: string, internal = false, family: 'IPv4' | 'IPv6' = 'IPv4') =>
    [{ address, internal, family, netmask: '', mac: '', cidr: null, scopeid: 0 }] as never;
  const interfaces = () => ({
    lo: one('127.0.0.1', true),
    docker0: one('172.17.0.1'),
    eth0: one('192.168.1.20'),
    veth12: one('10.9.0.1'),
    wlan0: one('fe80::1', false, 'IPv6'),
  });
  t.same(lanAddresses(interfaces), ['192.168.1.20', '172.17.0.1', '10.9.0.1'], 'bridges come last');
  t.same(
    lanAddresses(() => ({})),
    [],
  );
  t.same(hostNames('attic'), ['attic', 'attic.local']);
  t.same(hostNames('attic.example.org'), ['attic.example.org']);
  t.same(hostNames('Zoë, s box'), [], 'what no certificate can hold');
  t.ok(isOwnAddress('::ffff:192.168.1.20', interfaces));
  t.ok(isOwnAddress('127.0.1.1', interfaces));
  t.ok(isOwnAddress('::1', interfaces));
  t.notOk(isOwnAddress('192.168.1.21', interfaces));
});

/** A door with one address that agents may come to, on loopback. */
async function openDoor(t: Test, dataDir: string, addresses: readonly string[] = ['10.0.0.2']) {
  const identity = await opened(dataDir, addresses);
  const bench = await openJoinBench(t, { identity, acceptAgent: async () => null });
  return { identity, url: `wss://127.0.0.1:${bench.port}` };
}

const asAgent = (url: string): string => `${url}/v1/agents/join`;

t.test('a daemon is trusted by its key, before anything is said', async (t) => {
  const { identity, url } = await openDoor(t, await temporaryFolder(t));
  const { fingerprint } = identity.certificateFor('127.0.0.1');
  const wrong = (hash: string): string => hash.replace(/^../, (byte) => (byte === '00' ? '01' : '00'));
  const met: string[] = [];
  for (const trust of [{ pin: identity.pin }, { pin: identity.pin.toUpperCase() }, { fingerprint }]) {
    const connection = await connectWs(asAgent(url), { signal, ...trust, onMet: (pin) => met.push(pin) });
    connection.close(1000, 'enough');
  }
  t.same(met, Array(3).fill(identity.pin), 'the key is learnt by an old command as well');
  const mismatch = { code: 'DAEMON_MISMATCH' };
  await t.rejects(connectWs(asAgent(url), { signal, pin: wrong(identity.pin) }), mismatch);
  await t.rejects(connectWs(asAgent(url), { signal, fingerprint: wrong(fingerprint) }), mismatch);
  await t.rejects(
    connectWs(asAgent(url), { signal }),
    { code: 'DAEMON_UNREACHABLE' },
    'no authority knows it',
  );
  const plain = asAgent(url.replace('wss', 'ws'));
  await t.rejects(connectWs(plain, { signal, pin: identity.pin }), mismatch, 'plain http proves nothing');

  const heard: string[] = [];
  const other = createPlainServer((request) => heard.push(request.url ?? ''));
  other.on('clientError', (_, socket) => socket.destroy());
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  t.teardown(() => void other.close());
  const { port } = other.address() as { port: number };
  const noTls = `wss://127.0.0.1:${port}/v1/agents/join?visit=secret`;
  await t.rejects(connectWs(noTls, { signal, pin: identity.pin }), { code: 'DAEMON_UNREACHABLE' });
  t.same(heard, [], 'a stranger hears nothing of us');
});

t.test('each address shows its own certificate, each name as well', async (t) => {
  const folder = await temporaryFolder(t);
  await DaemonIdentity.open({ dataDir: folder, clock: systemClock, addresses: () => [], names: () => [] });
  const identity = await DaemonIdentity.open({
    dataDir: folder,
    clock: systemClock,
    addresses: () => ['127.0.0.2'],
    names: () => ['attic.test'],
  });
  const bench = await openJoinBench(t, { identity, hostname: '0.0.0.0' });
  const shown = (host: string, servername?: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connectTls({
        host,
        port: bench.port,
        rejectUnauthorized: false,
        ...(servername !== undefined && { servername }),
      });
      socket.once('error', reject);
      socket.once('secureConnect', () => {
        resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? '');
        socket.destroy();
      });
    });
  const [first, second] = [identity.certificateFor('127.0.0.1'), identity.certificateFor('127.0.0.2')];
  t.not(first.fingerprint, second.fingerprint);
  for (const host of ['127.0.0.1', '127.0.0.2', '127.0.0.1', '127.0.0.2'])
    t.equal(await shown(host), identity.certificateFor(host).fingerprint, host);
  t.equal(await shown('127.0.0.1', 'attic.test'), second.fingerprint, 'the name that was asked for');
  t.equal(await shown('127.0.0.2', 'localhost'), first.fingerprint);
  const mixed = await Promise.all(['127.0.0.1', '127.0.0.2', '127.0.0.1'].map((host) => shown(host)));
  t.same(
    mixed,
    [first, second, first].map((one) => one.fingerprint),
    'also side by side',
  );
});

t.test('an agent finds its daemon again, and nobody else', async (t) => {
  const folder = await temporaryFolder(t);
  const daemon = await openDoor(t, join(folder, 'daemon'));
  const moved = await openDoor(t, join(folder, 'daemon'));
  const stranger = await openDoor(t, join(folder, 'stranger'));
  const nobody = 'wss://127.0.0.1:9';
  const events: { event: string; url?: unknown }[] = [];
  const agent = async (given: readonly string[], trust = {}) => {
    const memory = new KnownDaemonFile(join(folder, 'agent'));
    t.ok(await memory.read());
    const onEvent = (event: string, details: object) => void events.push({ event, ...details });
    return new DaemonDialer({ given, trust, memory, onEvent });
  };
  const closing = async (dialer: DaemonDialer) => {
    const connection = await dialer.connect({ signal });
    connection.close(1000, 'enough');
    return connection.peer.replace('/v1/agents/join', '');
  };
  const pin = daemon.identity.pin;

  await t.rejects(
    closing(await agent([stranger.url], { pin })),
    { code: 'DAEMON_MISMATCH' },
    'never met: final',
  );
  const first = await agent([nobody, stranger.url, daemon.url], { pin });
  t.equal(await closing(first), daemon.url, 'each address in turn');
  t.match(events.at(-1), { event: 'wrong-host', url: stranger.url });
  t.equal(first.addresses()[0], daemon.url, 'the one that answered goes first from then on');
  await first.announced([daemon.url, moved.url, 'ws://127.0.0.1:4382', 'nonsense', 'wss://127.0.0.1:9']);

  const later = await agent([]);
  t.same(later.addresses(), [daemon.url, moved.url, nobody], 'it needs no command for them, nor the pin');
  t.equal(await closing(later), daemon.url);
  const gone = await agent([nobody]);
  await gone.announced([stranger.url, moved.url]);
  const dialer = new DaemonDialer({
    given: [nobody],
    trust: {},
    memory: await remembered(join(folder, 'agent')),
    onEvent: () => {},
    connect: (url, options) =>
      url.startsWith(daemon.url) ? Promise.reject(new Error('it moved away')) : connectWs(url, options),
  });
  t.equal(await closing(dialer), moved.url, 'found where it said that it would be');
  t.equal(dialer.addresses()[0], moved.url);

  const lost = new DaemonDialer({
    given: [stranger.url],
    trust: { pin },
    memory: await remembered(join(folder, 'agent')),
    onEvent: () => {},
    connect: (url, options) =>
      url.startsWith(stranger.url) ? connectWs(url, options) : Promise.reject(new Error('nobody')),
  });
  await t.rejects(closing(lost), { code: 'DAEMON_UNREACHABLE' }, 'met before: it is looked for again');
  await t.rejects(closing(await agent([stranger.url], { pin: stranger.identity.pin.replace(/^../, 'ff') })), {
    code: 'DAEMON_MISMATCH',
  });
});

const remembered = async (folder: string): Promise<KnownDaemonFile> => {
  const memory = new KnownDaemonFile(folder);
  await memory.read();
  return memory;
};

t.test('a command of an earlier version outlasts the certificate that it names', async (t) => {
  const folder = await temporaryFolder(t);
  const dataDir = join(folder, 'daemon');
  const former = await formerDaemon(dataDir);
  const dial = async (url: string) =>
    new DaemonDialer({
      given: [url],
      trust: { fingerprint: former.fingerprint256 },
      memory: await remembered(join(folder, 'agent')),
      onEvent: () => {},
    }).connect({ signal });
  const before = await openDoor(t, dataDir);
  (await dial(before.url)).close(1000, 'enough');
  // The certificate is gone, the key is not.
  await rm(join(dataDir, 'certificate.pem'));
  await rm(join(dataDir, 'certificates.pem'), { force: true });
  const after = await openDoor(t, dataDir);
  t.not(after.identity.certificateFor('127.0.0.1').fingerprint, former.fingerprint256);
  (await dial(after.url)).close(1000, 'enough');
  await rm(join(folder, 'agent', 'daemon.json'));
  await t.rejects(dial(after.url), { code: 'DAEMON_MISMATCH' }, 'who never met it needs a new command');
  await writeFile(join(folder, 'agent', 'daemon.json'), '{"pin":');
  t.equal(await new KnownDaemonFile(join(folder, 'agent')).read(), false, 'a damaged memory is told');
});

t.test('the door follows the addresses of the machine', async (t) => {
  const folder = await temporaryFolder(t);
  const clock = new ManualClock(start);
  let addresses = ['127.0.0.1'];
  const told: (readonly string[])[] = [];
  const faults: HildaError[] = [];
  const door = new LanDoor({
    https: 0,
    http: 0,
    dataDir: folder,
    clock,
    joinDir: folder,
    lanAddresses: () => addresses,
    hostNames: () => ['attic'],
    onChange: (urls) => told.push(urls),
    onError: (error) => faults.push(error),
  });
  t.teardown(() => door.stop());
  const channel = {} as never;
  await door.start({ pages: channel, agents: channel }, signal);
  const [secure, plain] = door.addresses();
  t.match(secure, {
    base: /^https:\/\/127.0.0.1:\d+$/,
    pin: /^[0-9a-f]{64}$/,
    fingerprint: /^([0-9A-F]{2}:){31}/,
  });
  t.match(plain, { base: /^http:\/\/127.0.0.1:\d+$/, pin: null, fingerprint: null });
  t.match(told.at(-1), [/^wss:\/\/127.0.0.1:/, /^wss:\/\/attic:/, /^ws:\/\/127.0.0.1:/, /^ws:\/\/attic:/]);
  const turns = told.length;
  addresses = ['127.0.0.1', '172.17.0.1'];
  for (let i = 0; i < 200 && told.length === turns; i++) {
    await clock.advance(10_000);
    await systemClock.sleep(5);
  }
  t.match(told.at(-1), [/127.0.0.1/, /wss:\/\/172.17.0.1:/]);
  t.equal(door.addresses()[1]?.pin, secure?.pin, 'the same key under the new address');
  t.not(door.addresses()[1]?.fingerprint, secure?.fingerprint, 'with a certificate that names it');
  t.same(faults, []);
});
