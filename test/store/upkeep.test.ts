import { spawn } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import knex from 'knex';
import t from 'tap';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import { fileBlobs } from '../../daemon/store/file-blobs.js';
import { mapStoreError } from '../../daemon/store/map-errors.js';
import { openStore } from '../../daemon/store/open-store.js';
import { collectTemporary } from '../../daemon/store/temporary-files.js';
import { backUp, restore, verifyBackup } from '../../daemon/store/upkeep/backup.js';
import { checkData } from '../../daemon/store/upkeep/check.js';
import { whileBusy } from '../../daemon/study/while-busy.js';
import { runHere } from '../cli/run-command.js';
import { codeOf } from '../contract/store-contract.js';

const clock = systemClock;
const modeOf = (path: string): string => (statSync(path).mode & 0o7777).toString(8);
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

t.test('a data folder is its owner’s alone, also one of an earlier version', async (t) => {
  const dir = t.testdir();
  const dataDir = join(dir, 'data');
  mkdirSync(dataDir);
  chmodSync(dataDir, 0o755);
  await (await openStore({ dataDir, clock })).close();
  t.equal(modeOf(dataDir), '700');
  t.equal(modeOf(join(dataDir, 'hilda.sqlite')), '600');
  chmodSync(join(dataDir, 'hilda.sqlite'), 0o644);
  const store = await openStore({ dataDir, clock });
  await store.setValue('k', 1);
  for (const name of readdirSync(dataDir)) t.equal(modeOf(join(dataDir, name)), '600', name);
  await store.close();
  const shared = join(dir, 'shared');
  mkdirSync(shared);
  chmodSync(shared, 0o1777);
  await (await openStore({ dataDir: shared, clock })).close();
  t.equal(modeOf(shared), '1777', 'a place that others use too stays as it is');
});

t.test('an emptied database is refused; a start that was killed leaves none', async (t) => {
  const dataDir = t.testdir();
  await (await openStore({ dataDir, clock })).close();
  writeFileSync(join(dataDir, 'hilda.sqlite'), '');
  t.equal(await codeOf(openStore({ dataDir, clock })), 'STORE_CORRUPT');
  t.equal(statSync(join(dataDir, 'hilda.sqlite')).size, 0, 'it is left as it is');
  rmSync(join(dataDir, 'hilda.sqlite'));
  writeFileSync(join(dataDir, 'hilda.sqlite.new'), 'half');
  const store = await openStore({ dataDir, clock });
  await store.setValue('k', 1);
  t.equal(await store.value('k'), 1);
  await store.close();
});

t.test('a store that is too busy is told so, and work goes on once it is not', async (t) => {
  const timeout = new Error('Knex: Timeout acquiring a connection. The pool is probably full.');
  timeout.name = 'KnexTimeoutError';
  t.match(mapStoreError(timeout, 'writing'), { code: 'STORE_BUSY', retryable: true });

  // What the disk and the machine say is never a defect of ours.
  const said = (code: string): unknown =>
    mapStoreError(Object.assign(new Error(`${code}: said`), { code }), 'reading');
  for (const code of ['EIO', 'SQLITE_IOERR'])
    t.match(said(code), { code: 'DISK_FAILED', retryable: true, details: { engineCode: code } });
  for (const code of ['ENOMEM', 'SQLITE_NOMEM', 'EMFILE', 'ENFILE'])
    t.match(said(code), { code: 'STORE_BUSY', hint: /no more (memory|open files)/ });
  t.match(said('constructor'), { code: 'INTERNAL' });

  const manual = new ManualClock();
  const seen: string[] = [];
  const never = new AbortController();
  let times = 0;
  const act = async (): Promise<string> => {
    if (++times < 4) throw new HildaError('STORE_BUSY', 'busy');
    return 'done';
  };
  const options = {
    clock: manual,
    signal: never.signal,
    onBusy: ({ code }: HildaError) => seen.push(code),
  };
  const done = whileBusy(act, options);
  for (let i = 0; i < 50 && times < 4; i++) await manual.advance(60_000);
  t.equal(await done, 'done');
  t.same(seen, ['STORE_BUSY', 'STORE_BUSY', 'STORE_BUSY']);
  const full = async (): Promise<string> => {
    throw new HildaError('DISK_FULL', 'full');
  };
  await t.rejects(whileBusy(full, options), { code: 'DISK_FULL' });
});

t.test('a damaged blob is replaced when its content comes again', async (t) => {
  const folder = t.testdir();
  const blobs = fileBlobs(folder);
  const id = await blobs.put(bytesOf('whole'));
  const path = join(folder, id.slice(0, 2), id.slice(2, 4), id);
  for (const damage of ['', 'whale', 'whole and more']) {
    writeFileSync(path, damage);
    t.equal(await codeOf(blobs.get(id)), 'STORE_CORRUPT');
    t.equal(await blobs.put(bytesOf('whole')), id);
    t.same(new TextDecoder().decode(await blobs.get(id)), 'whole');
  }
});

t.test('what killed writers left half written goes, and nothing else', async (t) => {
  const folder = t.testdir({ deep: {}, 'notes.tmp': 'a person’s own', 'a.txt': '' });
  const [old, young] = ['0f8fad5b-d9cb-469f-a165-70867728950e', '7c9e6679-7425-40de-944b-e07fc1f90ae7'].map(
    (id) => join(folder, 'deep', `key.pem.${id}.tmp`),
  ) as [string, string];
  for (const path of [old, young]) writeFileSync(path, '');
  for (const path of [old, join(folder, 'notes.tmp')]) utimesSync(path, 1000, 1000);
  t.equal(await collectTemporary(folder, 1_000_000_000), 1);
  t.notOk(existsSync(old));
  t.ok(existsSync(young) && existsSync(join(folder, 'notes.tmp')));
  t.equal(await collectTemporary(join(folder, 'none'), 1e12), 0);
});

t.test('a backup taken under writes is whole, and becomes a data folder', async (t) => {
  const dir = t.testdir();
  const [dataDir, target, again] = ['data', 'backup', 'again'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ];
  const store = await openStore({ dataDir, clock });
  const blobs = fileBlobs(join(dataDir, 'blobs'));
  const model = await blobs.put(bytesOf('a model'));
  writeFileSync(join(dataDir, 'key.pem'), 'a key', { mode: 0o600 });
  writeFileSync(join(dataDir, 'token'), 'a secret', { mode: 0o600 });
  mkdirSync(join(dataDir, 'tokens'));
  writeFileSync(join(dataDir, 'tokens', '127.0.0.1-1'), 'a secret', { mode: 0o600 });
  symlinkSync('/etc/passwd', join(dataDir, 'link'));
  await store.publish('t', 'before');
  let isWriting = true;
  const writes = (async () => {
    while (isWriting) await store.publish('t', 'x'.repeat(500));
  })();
  const { files } = await backUp(dataDir, target, 5);
  isWriting = false;
  await writes;
  const last = await store.lastSeq();
  t.same(
    files.map(({ path }) => path),
    ['hilda.sqlite', `blobs/${model.slice(0, 2)}/${model.slice(2, 4)}/${model}`, 'key.pem'],
    'no secret of this start, no link',
  );
  t.same((await checkData(dataDir)).findings, [], 'beside the daemon');
  t.equal(await codeOf(backUp(dataDir, target, 6)), 'STATE_CONFLICT');
  symlinkSync(dataDir, join(dir, 'link'));
  for (const own of [dataDir, join(dataDir, 'own'), join(dir, 'link', 'own'), join(dataDir, 'a', 'b')])
    t.equal(await codeOf(backUp(dataDir, own, 6)), 'STATE_CONFLICT', own);
  t.notOk(existsSync(join(dataDir, 'own')), 'nothing is left in the data folder');
  t.equal(await codeOf(restore(target, dataDir)), 'STATE_CONFLICT', 'not over what is there');
  await store.close();

  t.equal((await restore(target, again)).takenAtMs, 5);
  t.equal(modeOf(again), '700');
  t.same((await checkData(again)).findings, []);
  const restored = await openStore({ dataDir: again, clock });
  const seq = await restored.lastSeq();
  t.ok(seq >= 1 && seq <= last, `${seq} of ${last} events`);
  t.equal((await restored.events(0, { limit: last })).length, seq, 'one moment, no gaps');
  t.same(new TextDecoder().decode(await fileBlobs(join(again, 'blobs')).get(model)), 'a model');
  await restored.close();

  const key = join(target, 'key.pem');
  writeFileSync(key, 'a kex');
  t.equal(await codeOf(restore(target, join(dir, 'third'))), 'STORE_CORRUPT');
  t.notOk(existsSync(join(dir, 'third')));
  rmSync(key);
  t.equal(await codeOf(verifyBackup(target)), 'STORE_CORRUPT');
  const manifest = join(target, 'backup.json');
  const text = readFileSync(manifest, 'utf8');
  writeFileSync(manifest, text.replace('key.pem', '../../key.pem'));
  t.equal(await codeOf(verifyBackup(target)), 'STORE_CORRUPT', 'no path leads outside');
  const whole = join(dir, 'whole');
  await backUp(again, whole, 7);
  const listed = JSON.parse(readFileSync(join(whole, 'backup.json'), 'utf8')) as {
    files: { path: string }[];
  };
  for (const name of ['hilda.sqlite-wal', 'hilda.sqlite-journal', 'token', 'uploads/x', 'x.tmp']) {
    mkdirSync(dirname(join(whole, name)), { recursive: true });
    cpSync(join(whole, 'key.pem'), join(whole, name));
    const files = [...listed.files, { ...listed.files.find(({ path }) => path === 'key.pem'), path: name }];
    writeFileSync(join(whole, 'backup.json'), JSON.stringify({ ...listed, files }));
    t.equal(await codeOf(restore(whole, join(dir, 'third'))), 'STORE_CORRUPT', name);
  }
  for (const files of [listed.files.slice(1), [...listed.files, listed.files[0]]]) {
    writeFileSync(join(whole, 'backup.json'), JSON.stringify({ ...listed, files }));
    t.equal(await codeOf(restore(whole, join(dir, 'third'))), 'STORE_CORRUPT', `${files.length} files`);
  }
  t.notOk(existsSync(join(dir, 'third')));
  rmSync(manifest);
  t.equal(await codeOf(restore(target, join(dir, 'third'))), 'NOT_FOUND');
  t.equal(await codeOf(backUp(join(dir, 'nothing'), join(dir, 'fourth'), 0)), 'NOT_FOUND');
});

t.test('check finds what is damaged', async (t) => {
  const dataDir = t.testdir();
  const store = await openStore({ dataDir, clock });
  await store.publish('t', 1);
  await store.setValue('k', 1);
  await store.close();
  const id = await fileBlobs(join(dataDir, 'blobs')).put(bytesOf('b'));
  const env = { HILDA_DATA: dataDir };
  t.match(await runHere(['check'], env), { code: 0, out: /rows and 1 blobs: all is well/ });

  writeFileSync(join(dataDir, 'blobs', id.slice(0, 2), id.slice(2, 4), id), 'other');
  const filename = join(dataDir, 'hilda.sqlite');
  const db = knex({ client: 'sqlite3', connection: { filename }, useNullAsDefault: true });
  await db('key_values').update({ value: '{' });
  await db('counters').where({ name: 'events' }).update({ value: 0 });
  await db.raw('PRAGMA foreign_keys = OFF');
  await db('leases').insert({ device_id: 'nobody', holder: 'x', token: 1, expires_ms: 1 });
  await db.destroy();
  const { findings } = await checkData(dataDir);
  t.same(findings.map(({ where }) => where.replace(/^blobs.*/, 'blobs')).sort(), [
    'blobs',
    'counters',
    'key_values.value',
    'leases',
  ]);
  const told = await runHere(['check', '--json'], env);
  t.equal(JSON.parse(told.out).findings.length, 4);
  t.match(told, { code: 1, err: /STORE_CORRUPT/ });
  t.equal((await runHere(['check', '--data', join(dataDir, 'none')], env)).code, 3);

  const bytes = readFileSync(filename);
  writeFileSync(filename, bytes.fill(0xa5, 4096 * 2, 4096 * 6));
  t.not((await checkData(dataDir)).findings.length, 0);
});

t.test('a daemon that is told to stop while it starts ends as one that was up', async (t) => {
  const main = fileURLToPath(new URL('../../daemon/cli/main.js', import.meta.url));
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    const dataDir = join(t.testdir(), name);
    const up = spawn(process.execPath, [main, 'up', '--port', '0', '--data', dataDir, '--json']);
    t.teardown(() => up.kill('SIGKILL'));
    const ended = new Promise((resolve) => up.once('exit', (code, signal) => resolve(signal ?? code)));
    while (!existsSync(join(dataDir, 'hilda.lock'))) await clock.sleep(5);
    up.kill(name);
    t.equal(await ended, 0, name);
  }
});
