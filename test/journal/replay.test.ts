import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import type { HildaError } from '../../daemon/core/errors.js';
import type { StudyId } from '../../daemon/core/ids.js';
import type { Driver } from '../../daemon/devices/contract.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import type { Journal } from '../../daemon/journal/contract.js';
import { exportStudy } from '../../daemon/journal/export-study.js';
import { readJournal } from '../../daemon/journal/read-journal.js';
import { type ReplayStudyOptions, replayStudy } from '../../daemon/journal/replay-study.js';
import type { Store } from '../../daemon/store/contract.js';
import { openStore } from '../../daemon/store/open-store.js';
import { codeOf } from '../jobs/bench.js';
import { type Bench, openBench, profilesDir, smallSpace, smallSpec } from '../study/bench.js';
import { LeavingDriver } from '../study/leaving-driver.js';
import { until } from '../until.js';

t.setTimeout(600_000);

const version = '0.1.0-test';
const parts = (): ReplayStudyOptions => ({
  dataDir: ':memory:',
  clock: systemClock,
  profilesDir,
  version,
  signal: new AbortController().signal,
});

async function folder(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-replay-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function open(
  t: Test,
  dir: string,
  drivers: readonly Driver[] = [new FakeDriver({ ids: ['fake-0', 'fake-1'] })],
): Promise<Bench> {
  const bench = await openBench(dir, {}, () => drivers);
  t.teardown(() => bench.close());
  return bench;
}

/** The journal of a study, written and read. */
async function journalOf(dir: string, store: Store, id: StudyId): Promise<Journal> {
  const path = join(dir, `${id}.journal`);
  await writeFile(path, await exportStudy(id, { store, version, nowMs: systemClock.nowMs() }));
  return readJournal(path);
}

async function run(t: Test, { studies, store }: Bench, spec: object): Promise<StudyId> {
  const { id } = await studies.create(spec);
  await studies.settled(id);
  const { state, reason } = await store.study(id);
  t.equal(state, 'completed', reason ?? '');
  return id;
}

t.test('a learning study with failing and invalid measurements replays to the last bit', async (t) => {
  const dir = await folder(t);
  const faults = Array.from({ length: 90 }, (_, i) =>
    i % 12 === 4 || i % 12 === 5
      ? 'contended'
      : i === 11 || i === 30
        ? 'crash'
        : i % 17 === 7
          ? 'reject'
          : null,
  );
  const driver = new FakeDriver({ ids: ['fake-0', 'fake-1'], faults });
  const bench = await open(t, dir, [driver]);
  const id = await run(
    t,
    bench,
    await smallSpec(dir, {
      sampler: { name: 'linas', options: { initial: 10, innerEvaluations: 100 } },
      devices: ['fake-0', 'fake-1'],
      constraints: [{ metric: 'peakBytes@fake-1', max: 40_000 }],
      attempts: 2,
      batch: 5,
      budget: { trials: 60 },
    }),
  );
  const trials = await bench.store.trials(id);
  const states = new Set(trials.map(({ state }) => state));
  t.same([...states].sort(), ['complete', 'failed', 'infeasible'], 'all ends occur');
  t.ok(
    trials.some(({ predicted }) => predicted.latencyUs !== undefined),
    'a predictor was on',
  );
  t.ok((await bench.store.measurementCount({ studyId: id, verdict: 'contended' })) > 3);
  const journal = await journalOf(dir, bench.store, id);
  const replayed = await replayStudy(journal, parts());
  t.equal(replayed.difference, null);
  t.equal(replayed.compared, 60);
  t.ok(replayed.measurements > 80, `${replayed.measurements} measurements`);
});

const objectives = [
  { metric: 'accuracy', goal: 'max' },
  { metric: 'latencyUs', goal: 'min' },
  { metric: 'latencyUs@fake-1', goal: 'min' },
];

t.test('a study that was killed and resumed replays, and one that was left half done', async (t) => {
  const dir = await folder(t);
  const spec = await smallSpec(dir, { sampler: { name: 'nsga2' }, batch: 4, budget: { trials: 32 } });
  const first = await openBench(dir, { noise: 0.05 });
  const { id } = await first.studies.create(spec);
  await until(async () => (await first.store.trialCount(id, { states: ['complete'] })) >= 9, 'nine trials');
  await first.close();
  const left = await openBench(dir, { noise: 0.05 });
  const half = await journalOf(dir, left.store, id);
  t.ok(half.trials.length < 32 && half.header.state === 'paused', half.header.state);
  const halfway = await replayStudy(half, parts());
  t.equal(halfway.difference, null);
  t.ok(halfway.compared >= 9, `${halfway.compared} trials`);
  await left.studies.resume(id);
  await left.studies.settled(id);
  const journal = await journalOf(dir, left.store, id);
  await left.close();
  t.equal(journal.launches.length, 2, 'both launches are in the journal');
  t.match(await replayStudy(journal, parts()), { difference: null, compared: 32 });
});

t.test('a device that left, for which trials waited in vain, and which caught up', async (t) => {
  const dir = await folder(t);
  const driver = new LeavingDriver();
  driver.before = (id, count) => {
    if (id === 'fake-1' && count === 9) driver.leave('fake-1');
    if (id === 'fake-0' && count === 30) driver.return('fake-1');
  };
  const bench = await open(t, dir, [driver]);
  const spec = { devices: ['fake-0', 'fake-1'], objectives, sampler: { name: 'nsga2' }, holdMinutes: 0 };
  const id = await run(t, bench, await smallSpec(dir, { ...spec, budget: { trials: 36 } }));
  const journal = await journalOf(dir, bench.store, id);
  const late = journal.trials.filter(({ heard }) => heard.some((one) => one.kind === 'device' && one.late));
  t.ok(late.length > 3, `${late.length} trials were caught up`);
  t.match(await replayStudy(journal, parts()), { difference: null, compared: 36, measurements: 72 });

  // Beside a device that nobody hears of again, the search went on without it.
  driver.before = (id, count) => {
    if (id === 'fake-1' && count === 45) driver.leave('fake-1');
  };
  const alone = await smallSpec(dir, { ...spec, holdMinutes: 0.005, seed: 3 });
  const { id: other } = await bench.studies.create(alone);
  await bench.studies.settled(other);
  const partial = await journalOf(dir, bench.store, other);
  t.ok(partial.trials.filter(({ reason }) => reason?.includes('not there')).length > 3);
  t.match(await replayStudy(partial, parts()), { difference: null, compared: 24 });
});

t.test(
  'proposals from outside, a study that had nothing left to ask, and one that learns from others',
  async (t) => {
    const dir = await folder(t);
    const bench = await open(t, dir);
    const all = await run(t, bench, await smallSpec(dir, { budget: { trials: 200 }, batch: 30 }));
    const exhausted = await journalOf(dir, bench.store, all);
    t.equal(exhausted.trials.length, 81);
    t.match(await replayStudy(exhausted, parts()), { difference: null, compared: 81 });

    const learning = {
      transfer: [all],
      sampler: { name: 'linas', options: { initial: 5, innerEvaluations: 50 } },
    };
    const learnt = await run(t, bench, await smallSpec(dir, { ...learning, budget: { trials: 20 } }));
    const journal = await journalOf(dir, bench.store, learnt);
    t.same(
      journal.earlier.map((one) => one.history.length),
      [81],
    );
    t.match(await replayStudy(journal, parts()), { difference: null, compared: 20 });

    const outside = await smallSpec(dir, { sampler: { name: 'external' }, budget: { trials: 14 }, batch: 3 });
    const { id } = await bench.studies.create(outside);
    for (let i = 0; i < 14; i++)
      await bench.studies.ask(
        id,
        { n: 1, proposals: [{ architecture: [i % 9, (2 * i + Math.floor(i / 9)) % 9] }], waitMs: 10_000 },
        { signal: new AbortController().signal },
      );
    await bench.studies.settled(id);
    const told = await journalOf(dir, bench.store, id);
    t.equal(told.trials.length, 14);
    t.match(await replayStudy(told, parts()), { difference: null, compared: 14 });
  },
);

t.test('the first difference is named, with both values', async (t) => {
  const dir = await folder(t);
  const bench = await open(t, dir);
  const spec = { sampler: { name: 'nsga2' }, batch: 4, budget: { trials: 24 } };
  const id = await run(t, bench, await smallSpec(dir, spec));
  const journal = await journalOf(dir, bench.store, id);
  const changed = (number: number, changes: object): Journal => ({
    ...journal,
    trials: journal.trials.map((trial) => (trial.number === number ? { ...trial, ...changes } : trial)),
  });
  const of = async (other: Journal, more: object = {}) =>
    (await replayStudy(other, { ...parts(), ...more })).difference;

  const values = journal.trials[9]!.values;
  t.match(await of(changed(9, { values: { ...values, accuracy: 0.5 } })), {
    where: 'trial 9',
    field: 'values.accuracy',
    recorded: 0.5,
    replayed: values.accuracy,
  });
  t.match(await of(changed(6, { reason: 'because' })), {
    where: 'trial 6',
    field: 'reason',
    recorded: 'because',
    replayed: null,
  });
  t.match(await of(changed(3, { architecture: [0, 0] })), { where: 'trial 3', field: 'architecture' });
  // One value that is told changes what is asked two batches later, and nothing before.
  const heard = journal.trials[5]!.heard.map((one) =>
    one.kind === 'evaluator' ? { ...one, quality: { ...one.quality!, values: { accuracy: 0.01 } } } : one,
  );
  t.match(await of(changed(5, { heard })), { where: 'trial 5', field: 'values.accuracy' });
  const seed = {
    ...journal,
    header: { ...journal.header, spec: { ...(journal.header.spec as object), seed: 8 } as never },
  };
  t.match(await of(seed), { where: 'trial 0', field: /architecture/ });
  const sampler = { ...(journal.header.spec as object), sampler: { name: 'random', options: {} } } as never;
  t.match(await of({ ...journal, header: { ...journal.header, spec: sampler } }), {
    where: /trial \d+/,
    field: /architecture|note/,
  });
  const state = { ...journal.header.end!, rng: [1, 2, 3, 4] } as never;
  t.match(await of({ ...journal, header: { ...journal.header, end: state } }), {
    where: 'the end',
    field: /rng/,
  });
  const taken = Object.values(journal.trials[7]!.measurements)[0] as string;
  const other = new Map(journal.measurements).set(taken, {
    ...journal.measurements.get(taken)!,
    structureHash: 'f'.repeat(64),
  });
  t.match(await of({ ...journal, measurements: other }), {
    where: 'trial 7',
    field: 'network',
    recorded: 'f'.repeat(64),
  });

  t.equal(
    await of(changed(9, { values: { ...values, accuracy: 0.5 } }), { until: 8 }),
    null,
    'it lies beyond',
  );
  t.match(await replayStudy(journal, { ...parts(), until: 9 }), {
    difference: null,
    compared: 12,
    measurements: 10,
  });
  t.equal(await codeOf(replayStudy(journal, { ...parts(), until: 24 })), 'NOT_FOUND');

  t.equal(await codeOf(replayStudy(journal, { ...parts(), version: '9.9.9' })), 'JOURNAL_MISMATCH');
  t.match(await replayStudy(journal, { ...parts(), version: '9.9.9', anyVersion: true }), {
    difference: null,
  });
  const unknown = { ...(journal.header.spec as object), sampler: { name: 'nobody', options: {} } } as never;
  t.equal(await codeOf(of({ ...journal, header: { ...journal.header, spec: unknown } })), 'SAMPLER_UNKNOWN');
  const space = { ...smallSpace, id: 'another' };
  const moved = { ...(journal.header.spec as object), space } as never;
  t.equal(await codeOf(of({ ...journal, header: { ...journal.header, spec: moved } })), 'JOURNAL_MISMATCH');
  const wider = { ...(journal.header.spec as object), space: { ...smallSpace, headWidth: 24 } } as never;
  t.match(await of({ ...journal, header: { ...journal.header, spec: wider } }), { where: 'trial 0' });

  const kept = join(dir, 'kept');
  await mkdir(kept);
  await replayStudy(journal, { ...parts(), dataDir: kept });
  t.equal(await codeOf(replayStudy(journal, { ...parts(), dataDir: kept })), 'STATE_CONFLICT');
  const store = await openStore({ dataDir: kept, clock: systemClock });
  t.teardown(() => store.close());
  const [study] = await store.studies();
  t.match(study, { state: 'stopped', name: 'test' });
  t.equal((await store.trials(study!.id)).length, 24);
});

t.test('a file that is no whole journal is refused with its line', async (t) => {
  const dir = await folder(t);
  const bench = await open(t, dir);
  const id = await run(t, bench, await smallSpec(dir, { budget: { trials: 6 } }));
  const bytes = await exportStudy(id, { store: bench.store, version, nowMs: 1 });
  const text = gunzipSync(bytes).toString();
  let files = 0;
  const read = async (content: Uint8Array, limits: { limitBytes?: number } = {}) => {
    const path = join(dir, `given-${files++}`);
    await writeFile(path, content);
    try {
      await readJournal(path, limits);
      return undefined;
    } catch (thrown) {
      const { code, message } = thrown as HildaError;
      return [code, message] as const;
    }
  };
  const changed = (change: (lines: string[]) => string[]) => {
    const lines = change(text.trimEnd().split('\n').slice(0, -1));
    const body = lines.map((line) => `${line}\n`).join('');
    const sha256 = createHash('sha256').update(body).digest('hex');
    return gzipSync(`${body}${JSON.stringify({ line: 'end', lines: lines.length, sha256 })}\n`);
  };
  t.equal(await read(bytes), undefined);
  t.equal(await read(changed((lines) => lines)), undefined);
  t.match(await read(bytes.subarray(0, bytes.length - 20)), ['JOURNAL_INVALID', /does not unpack/]);
  t.match(await read(gzipSync(text.slice(0, text.length / 2))), ['JOURNAL_INVALID', /no JSON|cut off/]);
  t.match(await read(gzipSync(text.slice(0, text.lastIndexOf('{"line":"end"')))), [
    'JOURNAL_INVALID',
    /cut off after line \d+/,
  ]);
  t.match(await read(gzipSync(text.replace('"state":"complete"', '"state":"failed"'))), [
    'JOURNAL_INVALID',
    /sum differs/,
  ]);
  t.match(await read(new Uint8Array(0)), ['JOURNAL_INVALID', /./]);
  t.match(await read(Buffer.from(text)), ['JOURNAL_INVALID', /does not unpack/]);
  t.match(await read(gzipSync('[]\n')), ['JOURNAL_INVALID', /line 1 is no header/]);
  t.match(await read(gzipSync('null\n')), ['JOURNAL_INVALID', /line 1 is no header/]);
  t.match(await read(gzipSync('{"line":"end","lines":0,"sha256":""}\n')), ['JOURNAL_INVALID', /./]);
  t.match(await read(gzipSync(text.replace('"format":1', '"format":2'))), [
    'JOURNAL_MISMATCH',
    /format 2.*reads 1/,
  ]);
  t.match(await read(changed((lines) => lines.filter((line) => !line.includes('"number":3')))), [
    'JOURNAL_INVALID',
    /trial 3 is missing; 4 came/,
  ]);
  t.match(await read(changed((lines) => lines.filter((line) => !line.startsWith('{"line":"measurement"')))), [
    'JOURNAL_INVALID',
    /names the measurement m\d+, which is missing/,
  ]);
  t.match(await read(changed((lines) => [...lines, '{"line":"trial","trial":{}}'])), [
    'JOURNAL_INVALID',
    /line \d+: .*number/s,
  ]);
  t.match(await read(changed((lines) => [...lines, '{"line":"surprise"}'])), ['JOURNAL_INVALID', /line \d+/]);
  t.match(await read(Buffer.concat([gzipSync(text), gzipSync('{"line":"device"}\n')])), [
    'JOURNAL_INVALID',
    /follows the last line/,
  ]);
  t.match(await read(gzipSync(Buffer.alloc(64 * 2 ** 20, 32)), { limitBytes: 2 ** 20 }), [
    'JOURNAL_INVALID',
    /unpacks to more than 1048576 bytes/,
  ]);
  t.equal(await codeOf(readJournal(join(dir, 'nothing'))), 'NOT_FOUND');
  t.equal(await codeOf(readJournal(dir)), 'JOURNAL_INVALID');
  t.equal(
    await codeOf(exportStudy('study-9' as StudyId, { store: bench.store, version, nowMs: 1 })),
    'STUDY_UNKNOWN',
  );
});
