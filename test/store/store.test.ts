import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import knex from 'knex';
import t from 'tap';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import type { ArchitectureId, BlobId, DeviceId } from '../../daemon/core/ids.js';
import { fileBlobs } from '../../daemon/store/file-blobs.js';
import { fileUploads, uploadsStayMs } from '../../daemon/store/file-uploads.js';
import { openStore } from '../../daemon/store/open-store.js';
import { packColumns, unpackColumns } from '../../daemon/store/pack-columns.js';
import { packRounds, unpackRounds } from '../../daemon/store/pack-rounds.js';
import { openSqlite } from '../../daemon/store/sqlite-engine.js';
import { dropTriggers } from '../../daemon/store/triggers.js';
import { codeOf, runStoreContract, target } from '../contract/store-contract.js';
import { until } from '../until.js';

const clock = systemClock;

t.test('in memory', (t) => {
  runStoreContract(t, (clock) => openStore({ dataDir: ':memory:', clock }));
  t.end();
});

t.test('in a file', (t) => {
  const dir = t.testdir();
  let n = 0;
  runStoreContract(t, (clock) => openStore({ dataDir: join(dir, `s${n++}`), clock }));
  t.end();
});

t.test('rounds survive packing bit by bit', async (t) => {
  const number = fc.double({ noNaN: true });
  const round = fc.record({
    referenceBeforeUs: number,
    candidateUs: number,
    referenceAfterUs: number,
    kept: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(round, { maxLength: 40 }), (rounds) => {
      const back = unpackRounds(packRounds(rounds));
      return (
        back.length === rounds.length &&
        back.every((b, i) => Object.entries(b).every(([k, v]) => Object.is(v, rounds[i]![k as 'kept'])))
      );
    }),
  );
  const bytes = packRounds([{ referenceBeforeUs: 1, candidateUs: 2, referenceAfterUs: 3, kept: true }]);
  for (const bad of [bytes.subarray(1), bytes.subarray(0, 3), new Uint8Array(0)])
    t.throws(() => unpackRounds(bad), { code: 'STORE_CORRUPT' });
});

t.test('one daemon a folder, reopened with all it knew', async (t) => {
  const dataDir = t.testdir();
  const store = await openStore({ dataDir, clock });
  await store.setValue('k', 1);
  t.equal(await codeOf(openStore({ dataDir, clock })), 'STORE_BUSY');
  await store.close();
  const again = await openStore({ dataDir, clock: new ManualClock() });
  t.equal(await again.value('k'), 1);
  await again.close();
  const file = join(t.testdir({ file: 'x' }), 'file');
  t.equal(await codeOf(openStore({ dataDir: file, clock })), 'USAGE_INVALID', 'a file is no folder');
});

t.test('the engine is set to lose nothing', async (t) => {
  const { db, close } = await openSqlite({ dataDir: t.testdir() });
  t.teardown(close);
  const pragma = async (name: string) => Object.values((await db.raw(`PRAGMA ${name}`))[0])[0];
  t.same(
    await Promise.all(
      ['journal_mode', 'synchronous', 'foreign_keys', 'busy_timeout', 'wal_autocheckpoint'].map(pragma),
    ),
    ['wal', 2, 1, 5000, 16_384],
  );
  const statements: string[] = [];
  db.on('query', ({ sql }: { sql: string }) => statements.push(sql));
  await db.transaction((transaction) => transaction('counters').select());
  t.equal(statements[0], 'BEGIN IMMEDIATE;');
});

t.test('what is committed moves into the database beside the commits, and the log begins anew', async (t) => {
  const dataDir = t.testdir();
  const store = await openStore({ dataDir, clock });
  t.teardown(() => store.close());
  const bytesOf = (file: string) => statSync(join(dataDir, file)).size;
  const atFirst = bytesOf('hilda.sqlite');
  let stored = 0;
  const commitMore = async (commits: number) => {
    for (let i = 0; i < commits; i++) await store.publish('t', 'x'.repeat(8000));
    stored += commits;
  };
  await commitMore(400);
  await until(async () => {
    const before = bytesOf('hilda.sqlite-wal');
    await commitMore(50);
    return bytesOf('hilda.sqlite-wal') === before;
  }, 'the log begins anew');
  t.ok(bytesOf('hilda.sqlite-wal') < 60e6, 'before a commit would have to move all of it by itself');
  t.ok(bytesOf('hilda.sqlite') > atFirst + 2e6);
  t.equal(await store.lastSeq(), stored);
});

t.test('a damaged file is left as it is', async (t) => {
  const dataDir = t.testdir();
  const path = join(dataDir, 'hilda.sqlite');
  const store = await openStore({ dataDir, clock });
  for (let i = 0; i < 30; i++) await store.publish('t', 'x'.repeat(2000));
  await store.close();
  const whole = readFileSync(path);

  const rotten = Buffer.from(whole);
  rotten.fill(0xa5, 4096 * 3, 4096 * 12);
  for (const bytes of [rotten, randomBytes(8192), whole.subarray(0, 4096 * 5)]) {
    writeFileSync(path, bytes);
    t.equal(await codeOf(openStore({ dataDir, clock })), 'STORE_CORRUPT');
    t.ok(readFileSync(path).equals(bytes), 'bytes unchanged');
  }
  writeFileSync(path, whole);
  const repaired = await openStore({ dataDir, clock });
  t.equal(await repaired.lastSeq(), 30);
  await repaired.close();
});

t.test('a newer schema is refused, not changed', async (t) => {
  const dataDir = t.testdir();
  await (await openStore({ dataDir, clock })).close();
  const path = join(dataDir, 'hilda.sqlite');
  const db = knex({ client: 'sqlite3', connection: { filename: path }, useNullAsDefault: true });
  await db('schema_migrations').insert({ name: '9999-future', batch: 9, migration_time: 0 });
  await db.destroy();
  const bytes = readFileSync(path);
  t.equal(await codeOf(openStore({ dataDir, clock })), 'STORE_NEWER');
  t.ok(readFileSync(path).equals(bytes));
});

t.test('a full disk stops writes and loses nothing', async (t) => {
  const dataDir = t.testdir();
  const store = await openStore({ dataDir, clock, maxPages: 60 });
  let written = 0;
  let code: string | undefined;
  while (code === undefined && written < 1000) {
    code = await codeOf(store.publish('t', 'x'.repeat(3000)));
    if (code === undefined) written++;
  }
  t.equal(code, 'DISK_FULL');
  t.equal((await store.events(0)).length, written);
  await store.close();
  const roomy = await openStore({ dataDir, clock });
  await roomy.publish('t', 1);
  t.equal(await roomy.lastSeq(), written + 1, 'no gap after the failure');
  await roomy.close();
});

t.test('kill -9 loses no acknowledged write', { timeout: 300_000 }, async (t) => {
  const dataDir = t.testdir();
  const writer = fileURLToPath(new URL('./store-writer.js', import.meta.url));
  for (let round = 0; round < 3; round++) {
    const child = spawn(process.execPath, [writer, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exited = once(child, 'exit');
    let acknowledged = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged = Number(line);
      if (acknowledged === 3)
        t.equal(await codeOf(openStore({ dataDir, clock })), 'STORE_BUSY', 'held by another process');
      if (acknowledged % 50 === 7 + round * 11) child.kill('SIGKILL');
    }
    await exited;
    const store = await openStore({ dataDir, clock });
    t.ok(
      acknowledged > 0 && (await store.lastSeq()) >= acknowledged,
      `${acknowledged} acknowledged, ${await store.lastSeq()} found`,
    );
    const events = await store.events(0, { limit: 100_000 });
    t.ok(
      events.every((event, i) => event.seq === i + 1),
      'no gaps',
    );
    t.ok(((await store.value('last')) as number) >= events.length, 'in the order of writing');
    await store.close();
  }
});

t.test('devices of before the hosts were told get theirs by their kind', async (t) => {
  const dataDir = t.testdir();
  const store = await openStore({ dataDir, clock });
  for (const kind of ['onnxruntime', 'emulator', 'browser'])
    await store.upsertDevice({ id: kind as DeviceId, kind, label: kind, target });
  await store.close();
  const connection = { filename: join(dataDir, 'hilda.sqlite') };
  const db = knex({ client: 'sqlite3', connection, useNullAsDefault: true });
  await dropTriggers(db);
  await db.schema.alterTable('devices', (table) => table.dropColumn('host'));
  await db('schema_migrations').where({ name: '0005-device-host' }).delete();
  await db.destroy();
  const migrated = await openStore({ dataDir, clock });
  const hosts = (await migrated.devices()).map(({ id, host }) => [id, host]);
  t.same(Object.fromEntries(hosts), { onnxruntime: 'local', emulator: 'local', browser: null });
  await migrated.close();
});

t.test(
  'specialisations of before they had rows keep their ids, their finals and what was asked',
  async (t) => {
    const dataDir = t.testdir();
    const store = await openStore({ dataDir, clock });
    const draft = { name: 's', spec: {}, sampler: null, rng: [1, 2, 3, 4] as const };
    const [search, finals] = [await store.createStudy(draft), await store.createStudy(draft)];
    const asked = { slack: 0.01, protocol: null };
    const shared = { name: 's', state: 'failed', reason: 'why', createdMs: 5, ...asked };
    const column = { deviceId: 'pico', host: null, speed: 'cycles', spec: { a: [1] }, search: search.id };
    await store.setValue('specialisations', [
      { id: 'specialisation-1', ...shared, columns: [{ ...column, winners: finals.id }] },
      { id: 'specialisation-2', ...shared, columns: [{ ...column, winners: null }] },
    ]);
    await store.close();
    const connection = { filename: join(dataDir, 'hilda.sqlite') };
    const db = knex({ client: 'sqlite3', connection, useNullAsDefault: true });
    await db.schema.dropTable('specialisations');
    await db.schema.alterTable('studies', (table) => {
      const place = ['specialisation_id', 'part_device_id', 'part_role'];
      table.dropUnique(place);
      table.dropColumns(...place);
    });
    await db('counters').where({ name: 'specialisations' }).delete();
    await db('schema_migrations').whereIn('name', ['0006-specialisations', '0007-finals']).delete();
    await db.destroy();

    const migrated = await openStore({ dataDir, clock });
    t.teardown(() => migrated.close());
    const body = { ...asked, columns: [column] };
    const rows = await migrated.specialisations();
    t.match(
      rows.map(({ id, state, reason, createdMs }) => [id, state, reason, createdMs]),
      [1, 2].map((n) => [`specialisation-${n}`, 'failed', 'why', 5]),
    );
    for (const row of rows) t.same(row.body, body);
    const { id } = rows[0]!;
    const part = { specialisationId: id, deviceId: 'pico', role: 'finals' };
    t.match(await migrated.studiesOf(id), [{ id: finals.id, ...part }]);
    t.equal((await migrated.study(search.id)).part, null, 'it may serve several');
    t.equal(await migrated.value('specialisations'), undefined);
    t.equal((await migrated.addSpecialisation({ name: 'next', body: null })).id, 'specialisation-3');
  },
);

t.test(
  'trials of before there were columns have theirs, whole chunks of told ones once and for all',
  async (t) => {
    const dataDir = t.testdir();
    const store = await openStore({ dataDir, clock });
    const rng = [1, 2, 3, 4] as const;
    const { id } = await store.createStudy({ name: 's', spec: {}, sampler: null, rng });
    await store.askTrials(
      id,
      Array.from({ length: 300 }, (_, i) => ({
        architectureId: `a${i}` as ArchitectureId,
        architecture: [i],
        note: '',
        predicted: {},
      })),
      { sampler: null, rng },
    );
    await store.close();
    const connection = { filename: join(dataDir, 'hilda.sqlite') };
    const db = knex({ client: 'sqlite3', connection, useNullAsDefault: true });
    await db.raw(
      `update trials set state = 'complete', told = 1, metric_values = '{"macs":' || number || '}' where number < 290`,
    );
    await db.schema.dropTable('trial_chunks');
    await db.schema.alterTable('trials', (table) => {
      table.dropIndex(['study_id', 'architecture_id']);
      table.dropIndex(['study_id', 'state']);
    });
    await db('schema_migrations').where({ name: '0011-trial-chunks' }).delete();
    await db.destroy();
    const migrated = await openStore({ dataDir, clock });
    t.teardown(() => migrated.close());
    const pieces = await migrated.trialColumns(id);
    t.same(
      pieces.map(({ from, length }) => [from, length]),
      [
        [0, 256],
        [256, 44],
      ],
    );
    t.same(
      pieces.flatMap(({ values }) => [...(values.get('macs') ?? [])]),
      Array.from({ length: 300 }, (_, i) => (i < 290 ? i : Number.NaN)),
    );
    t.equal((await migrated.trialColumns(id))[0], pieces[0]);
  },
);

t.test('columns survive packing bit by bit, and damage is told', async (t) => {
  const number = fc.double();
  fc.assert(
    fc.property(
      fc.array(fc.string(), { maxLength: 4 }),
      fc.array(number, { maxLength: 20 }),
      (names, column) => {
        const { length } = column;
        const given = {
          length,
          states: Uint8Array.from(column, (_, i) => i % 4),
          told: Uint8Array.from(column, (_, i) => i % 2),
          values: new Map(names.map((name) => [name, Float64Array.from(column)])),
        };
        const back = unpackColumns(packColumns(given), 'it');
        return (
          back.length === length &&
          back.states.every((state, i) => state === i % 4) &&
          back.told.every((told, i) => told === i % 2) &&
          [...back.values].every(([name, values]) =>
            values.every((value, i) => Object.is(value, given.values.get(name)?.[i])),
          ) &&
          back.values.size === given.values.size
        );
      },
    ),
  );
  const values = new Map([['macs', Float64Array.of(1, 2)]]);
  const bytes = packColumns({ length: 2, states: Uint8Array.of(0, 1), told: Uint8Array.of(0, 1), values });
  const wrongName = Uint8Array.from(bytes).fill(0xff, 9, 12);
  const wrongState = Uint8Array.from(bytes).fill(9, 17, 18);
  for (const bad of [bytes.subarray(1), bytes.subarray(0, 7), new Uint8Array(0), wrongName, wrongState])
    t.throws(() => unpackColumns(bad, 'it'), { code: 'STORE_CORRUPT' });
});

t.test('blobs by their hash', async (t) => {
  const folder = join(t.testdir(), 'blobs');
  const blobs = fileBlobs(folder);
  const bytes = randomBytes(5000);
  const id = await blobs.put(bytes);
  t.same(await Promise.all([blobs.put(bytes), blobs.put(bytes)]), [id, id]);
  t.ok(Buffer.from(await blobs.get(id)).equals(bytes));
  const path = join(folder, id.slice(0, 2), id.slice(2, 4), id);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.same(readdirSync(join(path, '..')), [id], 'no temporary file left');
  const none = 'f'.repeat(64) as BlobId;
  t.equal(await blobs.has(none), false);
  t.equal(await codeOf(blobs.get(none)), 'NOT_FOUND');
  t.equal(await codeOf(blobs.get('../../etc/passwd' as BlobId)), 'NOT_FOUND');
  writeFileSync(path, 'other');
  t.equal(await codeOf(blobs.get(id)), 'STORE_CORRUPT');
  const blocked = join(t.testdir({ file: 'x' }), 'file');
  t.equal(await codeOf(fileBlobs(blocked).put(bytes)), 'USAGE_INVALID');
});

t.test('uploads go a day after their last use', async (t) => {
  const folder = join(t.testdir(), 'uploads');
  const clock = new ManualClock(1_000_000_000_000);
  const uploads = await fileUploads(folder, clock);
  const [idle, read, asked, again] = [1, 2, 3, 4].map((n) => randomBytes(100 * n)) as [
    Buffer,
    Buffer,
    Buffer,
    Buffer,
  ];
  const ids = await Promise.all([idle, read, asked, again].map((bytes) => uploads.put(bytes)));
  const [idleId, readId, askedId, againId] = ids as [BlobId, BlobId, BlobId, BlobId];
  await clock.advance(uploadsStayMs - 1000);
  await uploads.get(readId);
  t.ok(await uploads.has(askedId));
  await uploads.put(again);
  await clock.advance(2000);
  await uploads.put(randomBytes(7));
  t.ok(await uploads.has(idleId), 'looked for once an hour');
  await clock.advance(uploadsStayMs - 3000);
  await uploads.put(randomBytes(8));
  t.same(await Promise.all(ids.map((id) => uploads.has(id))), [true, true, true, true], 'used in time');
  t.ok(Buffer.from(await uploads.get(readId)).equals(read));
  await clock.advance(uploadsStayMs + 1000);
  t.ok(Buffer.from(await uploads.get(againId)).equals(again), 'still there before the next sweep');
  await fileUploads(folder, clock);
  t.same(await Promise.all(ids.map((id) => uploads.has(id))), [false, false, false, true]);
  t.equal(await codeOf(uploads.get(idleId)), 'NOT_FOUND');
  t.equal(await codeOf(uploads.get('../../etc/passwd' as BlobId)), 'NOT_FOUND');
  t.equal(await uploads.has('../../etc/passwd' as BlobId).catch(() => false), false);
  t.equal(await uploads.put(idle), idleId, 'uploaded again');
  t.ok(Buffer.from(await uploads.get(idleId)).equals(idle));
});
