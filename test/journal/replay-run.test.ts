import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { BenchmarkRuns } from '../../daemon/benchmarks/runs/benchmark-runs.js';
import { type Suite, suiteSchema } from '../../daemon/benchmarks/suites/suite.js';
import { systemClock } from '../../daemon/core/clock.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { DevicePool } from '../../daemon/fleet/device-pool.js';
import { Campaigns } from '../../daemon/jobs/campaigns.js';
import { Jobs } from '../../daemon/jobs/jobs.js';
import type { Journal } from '../../daemon/journal/contract.js';
import { exportRun } from '../../daemon/journal/export-run.js';
import { readJournal } from '../../daemon/journal/read-journal.js';
import { type ReplayRunOptions, replayRun } from '../../daemon/journal/replay-run.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { readHere } from '../../daemon/reading/read-here.js';
import { readModel } from '../../daemon/reading/read-model.js';
import { fileBlobs } from '../../daemon/store/file-blobs.js';
import { openStore } from '../../daemon/store/open-store.js';
import { doublingNetwork } from '../../daemon/testing/doubling-network.js';
import { codeOf } from '../jobs/bench.js';
import { profilesDir } from '../study/bench.js';

t.setTimeout(600_000);

const version = '0.1.0-test';
const parts = (): ReplayRunOptions => ({
  dataDir: ':memory:',
  clock: systemClock,
  profilesDir,
  version,
  signal: new AbortController().signal,
  readNetwork: readModel,
});

/** A run of a suite on fake devices, some of whose measurements fail or are invalid, and its journal as it is read. */
async function recorded(t: Test, more: Partial<Suite>) {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-replay-run-'));
  const clock = systemClock;
  const store = await openStore({ dataDir: dir, clock });
  // A disturbed session may be taken again, so one that stays invalid needs several.
  const faults = [null, ...Array<'contended'>(8).fill('contended'), null, 'reject', null, 'crash'] as const;
  const driver = new FakeDriver({ ids: ['fake-0', 'fake-1'], faults, noise: 0.03 });
  const pool = new DevicePool({ store, drivers: [driver], clock });
  const blobs = fileBlobs(join(dir, 'blobs'));
  const places = { blobs, uploads: blobs, readNetwork: readModel, reading: readHere };
  const jobs = new Jobs({ store, pool, clock, places, retryMs: 5 });
  const campaigns = new Campaigns({ store, clock });
  const { signal } = new AbortController();
  await pool.start(signal);
  for (const { id } of await pool.discover({ signal })) await pool.adopt(id as DeviceId);
  await jobs.start(signal);
  t.teardown(async () => {
    await campaigns.stop();
    await jobs.stop();
    await pool.stop();
    await store.close();
    await rm(dir, { recursive: true, force: true });
  });
  const sources = { winner: async () => new Uint8Array(), samples: async () => [] };
  const runs = new BenchmarkRuns({ store, jobs, campaigns, clock, blobs, sources });
  const models = await Promise.all(
    [4, 6].map((channels) => blobs.put(writeOnnx(doublingNetwork(channels, 8)))),
  );
  const { id } = await runs.start(
    suiteSchema.parse({
      suite: 'nightly',
      networks: models.map((model, i) => ({ model, name: `net-${i}` })),
      devices: ['fake-0', 'fake-1'],
      protocol: 'quick',
      ...more,
    }),
  );
  await runs.finished(id);
  const path = join(dir, 'run.journal');
  await writeFile(path, await exportRun(id, { store, version, nowMs: 1, places: [blobs] }));
  return { store, runs, id, blobs, journal: await readJournal(path) };
}

t.test('a run of a suite replays with its failures, and without its devices', async (t) => {
  const { store, journal } = await recorded(t, { repeats: 5, attempts: 2, alternate: true });
  const states = journal.cases.map(({ state }) => state);
  t.equal(states.length, 20);
  t.ok(states.includes('failed') && states.includes('done'));
  const codes = new Set(journal.cases.map(({ error }) => error?.code));
  t.ok(codes.has('MEASUREMENT_INVALID') && codes.size >= 3, [...codes].join());
  const tried = journal.cases.flatMap(({ heard }) => heard?.length ?? 0);
  t.ok(Math.max(...tried) === 2 && Math.min(...tried) === 1, 'some took two attempts');
  t.equal(journal.blobs.size, 2);
  const replayed = await replayRun(journal, parts());
  t.match(replayed, { difference: null, compared: 20 });
  t.equal(replayed.measurements, (await store.benchmarkCases('1')).filter((one) => one.measurementId).length);
});

t.test(
  'what differs in a run is named; a run that is open, or of earlier versions, is refused',
  async (t) => {
    const { store, id, blobs, journal } = await recorded(t, { repeats: 2 });
    const of = async (other: Journal, more: object = {}) =>
      (await replayRun(other, { ...parts(), ...more })).difference;
    t.equal(await of(journal), null);
    const changed = (number: number, changes: object): Journal => ({
      ...journal,
      cases: journal.cases.map((one) => (one.number === number ? { ...one, ...changes } : one)),
    });
    t.match(await of(changed(0, { state: 'failed' })), {
      where: 'case 0',
      field: 'state',
      recorded: 'failed',
      replayed: 'done',
    });
    t.equal(await of(changed(4, { state: 'failed' }), { until: 3 }), null);
    const other = journal.cases.find((one) => one.network !== journal.cases[0]!.network)!;
    t.match(await of(changed(0, { asked: other.asked })), { where: 'case 0', field: 'network' });
    t.equal(await codeOf(replayRun(journal, { ...parts(), until: 99 })), 'NOT_FOUND');
    t.equal(await codeOf(replayRun(journal, { ...parts(), version: '2.0.0' })), 'JOURNAL_MISMATCH');
    t.equal(await codeOf(replayRun({ ...journal, blobs: new Map() }, parts())), 'NOT_FOUND');

    const exported = (changes: object) =>
      codeOf(exportRun(id, { store: { ...store, ...changes }, version, nowMs: 1, places: [blobs] }));
    t.equal(await exported({}), undefined);
    t.equal(
      await exported({ benchmarkHeard: async () => journal.cases.map(() => null) }),
      'JOURNAL_INCOMPLETE',
    );
    const run = await store.benchmarkRun(id);
    t.equal(await exported({ benchmarkRun: async () => ({ ...run, state: 'running' }) }), 'STATE_CONFLICT');
    t.equal(
      await codeOf(exportRun(id, { store, version, nowMs: 1, places: [] })),
      'NOT_FOUND',
      'a model that is gone',
    );
  },
);
