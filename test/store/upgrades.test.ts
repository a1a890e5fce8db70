import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import knex from 'knex';
import t, { type Test } from 'tap';
import { ManualClock } from '../../daemon/core/clock.js';
import type { StudyId } from '../../daemon/core/ids.js';
import { profilesDir } from '../../daemon/process/installation.js';
import type { Store } from '../../daemon/store/contract.js';
import { knownMigrations } from '../../daemon/store/migrations/index.js';
import { openStore } from '../../daemon/store/open-store.js';
import { StudyService } from '../../daemon/study/service.js';
import { parseStudySpec } from '../../daemon/study/spec.js';
import { fixturesDir, restoreFixture } from './restore-fixture.js';

/**
 * Databases that released versions wrote with their own code, one a schema, dumped as SQL: fixtures/schema-N.sql, N the last
 * migration that the version knew. A release with a new migration adds one: run its code, then `sqlite3 FILE .dump`.
 */
const fixtures = readdirSync(fixturesDir)
  .filter((name) => name.endsWith('.sql'))
  .map((name) => ({ name, level: Number(name.slice('schema-'.length, -'.sql'.length)) }))
  .sort((a, b) => a.level - b.level);
const clock = new ManualClock(1_790_100_000_000);
const study = 'study-1' as StudyId;

t.test('there is a database of each schema that was released', async (t) => {
  t.same(
    fixtures.map(({ level }) => level),
    [1, 4, 5, 6, 7, 8, 11],
  );
});

for (const { name, level } of fixtures)
  t.test(`${name}: everything in it is found`, async (t) => {
    const dataDir = await restoreFixture(t, name);
    const store = await openStore({ dataDir, clock });
    await t.test('devices', (t) => findsDevices(t, store, level));
    await t.test('studies and trials', (t) => findsStudies(t, store, level));
    await t.test('measurements', (t) => findsMeasurements(t, store, level));
    await t.test('what came later', (t) => findsTheRest(t, store, level));
    await t.test('the store goes on', (t) => goesOn(t, store, level));
    await store.close();
    const db = knex({
      client: 'sqlite3',
      connection: { filename: join(dataDir, 'hilda.sqlite') },
      useNullAsDefault: true,
    });
    t.same(await db('schema_migrations').orderBy('id').pluck('name'), [...knownMigrations]);
    t.same(await db.raw('PRAGMA foreign_key_check'), [], 'every reference leads somewhere');
    await db.destroy();
    const again = await openStore({ dataDir, clock });
    t.equal((await again.studies()).length, level >= 6 ? 3 : 2, 'it opens once more');
    await again.close();
  });

async function findsDevices(t: Test, store: Store, level: number): Promise<void> {
  const [cpu, pico] = await store.devices();
  const seen = { firstSeenMs: 1_790_000_001_000, host: 'local', state: 'adopted' };
  const tags = level >= 4 ? ['blau-größe', 'shelf=2'] : [];
  t.match(cpu, { ...seen, id: 'cpu-3f2a91', kind: 'onnxruntime', target: { model: 'Example CPU' } });
  t.same([...(cpu?.tags ?? [])].sort(), tags);
  t.match(pico, {
    id: 'emulated-rp2040-pico',
    host: 'local',
    target: { runtime: 'hilda-firmware', dtype: 'int8' },
    ...(level >= 4
      ? { state: 'quarantined', reason: 'three faults in a row', quarantine: { by: 'hand', passed: 0 } }
      : { state: 'adopted', reason: null }),
  });
  const deviceId = level >= 4 ? 'cpu-3f2a91' : 'emulated-rp2040-pico';
  t.match(await store.leases(), [{ deviceId, holder: 'a person', token: level >= 4 ? 2 : 1 }]);
  t.same(await store.value('calibration.cpu-3f2a91'), {
    convolutionUs: 512.5,
    transformerUs: 402,
    takenAtMs: 1_790_000_000_000,
  });
}

async function findsStudies(t: Test, store: Store, level: number): Promise<void> {
  const record = await store.study(study);
  t.match(record, { name: 'an earlier study', state: 'running', rng: [5, 6, 7, 8], part: null });
  t.same(record.sampler, { value: { age: 3 }, untold: [0, 1, 2] });
  t.match(parseStudySpec(record.spec), { seed: 7, batch: 4, holdMinutes: 5, constraints: [{ max: 5000 }] });
  const trials = await store.trials(study);
  t.match(
    trials.map(({ number, state, told, architecture }) => [number, state, told, architecture]),
    [
      [0, 'complete', true, [0, 0]],
      [1, 'complete', true, [1, 2]],
      [2, 'failed', true, [2, 2]],
      [3, 'asked', false, [0, 5]],
    ],
  );
  t.same(trials[0]?.values, {
    accuracy: 0.6,
    latencyUs: 110.5,
    peakBytes: 13000,
    macs: 5000,
    parameters: 1000,
  });
  t.equal(trials[2]?.reason, 'MEASUREMENT_INVALID: noisy in 3 attempts');
  t.same(trials[3]?.predicted, { latencyUs: { mean: 120, low: 100, high: 140 } });
  t.same(trials[0]?.measurements, { 'cpu-3f2a91': 'm1' });
  if (level >= 8)
    t.match(trials[1]?.evidence, { accuracy: { ci: [0.58, 0.62], images: 500, source: 'a table' } });

  const service = new StudyService({
    store,
    pool: { presence: () => ({ present: false, obstacle: null }), discover: async () => [] },
    jobs: { run: () => Promise.reject(new Error('nothing runs here')) },
    clock,
    profilesDir,
  });
  await service.start();
  const { record: paused, ...summary } = await service.show(study);
  t.match(paused, { state: 'paused', reason: /the daemon stopped/ });
  t.match(summary, { told: 3, asked: 1, complete: 2, failed: 1, infeasible: 0, frontSize: 2 });
  const { front } = await service.fronts(study);
  t.same(front.map(({ trialNumber }) => trialNumber).sort(), [0, 1]);
}

async function findsMeasurements(t: Test, store: Store, level: number): Promise<void> {
  const found = await store.measurements({ studyId: study });
  t.same(found.map(({ id, trialNumber, verdict }) => [id, trialNumber, verdict]).sort(), [
    ['m1', 0, 'valid'],
    ['m2', 1, 'valid'],
    ['m3', 2, 'noisy'],
  ]);
  const first = found.find(({ id }) => id === 'm1');
  t.match(first, {
    deviceId: 'cpu-3f2a91',
    provenance: 'measured',
    protocol: 'search',
    structureHash: '0a'.repeat(32),
    latency: { rawUs: { median: 100, n: 40 }, normalisedUs: 110.5, normalisedCiUs: [109, 112] },
    counts: null,
    memory: { weightBytes: 4000, peakBytes: 13000, runPeakRssBytes: 2_097_152 },
    manifest: { cpu: 'Example CPU', load: [0.1, 0.2] },
    durationMs: 812.5,
  });
  t.same(
    (await store.measurement('m1' as never)).rounds,
    Array.from({ length: 5 }, (_, k) => ({
      referenceBeforeUs: 500 + k / 3,
      candidateUs: 100 + k / 7,
      referenceAfterUs: 500.25,
      kept: k !== 2,
    })),
    'every round to the last bit',
  );
  if (level < 2) return;
  const [board] = (await store.measurements({ deviceId: 'cpu-3f2a91' as never })).filter(
    ({ counts }) => counts,
  );
  t.match(board, { latency: null, counts: { unit: 'cycles', total: 1000, peakRamBytes: 2560 } });
}

async function findsTheRest(t: Test, store: Store, level: number): Promise<void> {
  const predictors = await store.predictors();
  t.match(
    predictors,
    level >= 3 ? [{ id: 'predictor-1', metric: 'latencyUs', body: { note: 'kept as it was' } }] : [],
  );
  const specialisations = await store.specialisations();
  t.equal(specialisations.length, level >= 5 ? 1 : 0);
  if (level >= 5) {
    t.match(specialisations[0], {
      id: 'specialisation-1',
      name: 'an earlier one',
      state: 'failed',
      reason: 'why',
    });
    t.match(specialisations[0]?.body, { slack: 0.01, columns: [{ deviceId: 'cpu-3f2a91', search: study }] });
  }
  if (level >= 6)
    t.match(await store.studiesOf('specialisation-1' as never), [
      { id: 'study-2', deviceId: 'cpu-3f2a91', role: 'finals' },
    ]);
  const jobs = await store.jobs({ limit: 10 });
  t.match(
    jobs.map(({ id, state, result }) => [id, state, result]).sort(),
    level >= 11
      ? [
          ['j1', 'done', { done: true }],
          ['j2', 'queued', null],
        ]
      : [],
  );
  const events = await store.events(0, { limit: 1000 });
  t.same(
    events.map(({ seq }) => seq),
    events.map((_, i) => i + 1),
    'no event is missing',
  );
  t.ok(events.length >= 18, `${events.length} events`);
  t.ok(
    events.some(({ topic, data }) => topic === 'devices' && (data as { type: string }).type === 'presence'),
  );
}

/** Numbers go on where the earlier version stopped. */
async function goesOn(t: Test, store: Store, level: number): Promise<void> {
  const next = await store.createStudy({ name: 'next', spec: {}, sampler: null, rng: [1, 2, 3, 4] });
  t.equal(next.id, level >= 6 ? 'study-3' : 'study-2');
  const proposal = { architectureId: '4'.repeat(64) as never, architecture: [1, 1], note: '', predicted: {} };
  const [asked] = await store.askTrials(study, [proposal], { sampler: null, rng: [9, 9, 9, 9] });
  t.equal(asked?.number, 4);
  t.ok((await store.publish('devices', { type: 'note' })).seq > 18);
}
