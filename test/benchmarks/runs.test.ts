import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parseSuite, suiteFileSchema, suiteSchema } from '../../daemon/benchmarks/suites/suite.js';
import { systemClock } from '../../daemon/core/clock.js';
import type { HildaError } from '../../daemon/core/errors.js';
import { openStore } from '../../daemon/store/open-store.js';
import { measurement } from '../contract/store-contract.js';
import { codeOf, gate, StagedDriver } from '../jobs/bench.js';
import { until } from '../until.js';
import { openRuns, suite } from './bench.js';

t.setTimeout(600_000);

t.test('a run measures each network on each device, as jobs of one share', async (t) => {
  const { store, runs, stop } = await openRuns(new StagedDriver(['a', 'b']), systemClock);
  t.teardown(stop);
  const { id, of } = await runs.start(suite({ repeats: 2 }));
  t.equal(of, 8);
  t.match(await runs.finished(id), { state: 'done', done: 8, of: 8, suite: 'nightly' });
  const cases = await store.benchmarkCases(id);
  t.ok(cases.every(({ state, measurementId }) => state === 'done' && measurementId !== null));
  t.same(
    cases.slice(0, 4).map(({ network, place, repetition }) => [network, place, repetition]),
    [
      ['first', 'a', 0],
      ['first', 'b', 0],
      ['second', 'a', 0],
      ['second', 'b', 0],
    ],
  );
  t.equal(await store.jobCount({ share: `benchmark:${id}` }), 8);
  t.same(
    (await store.benchmarkCases(id, { from: 6, limit: 1 })).map(({ number }) => number),
    [6],
  );
  const events = await store.events(0, { topics: ['benchmarks'] });
  t.equal(events.filter(({ data }) => (data as { type: string }).type === 'case').length, 8);
  t.match(events.at(-1)?.data, { type: 'run', state: 'done', done: 8 });
  await runs.setBaseline(id);
  const again = await runs.start(suite({ repeats: 2 }));
  await runs.finished(again.id);
  const { comparison } = await runs.report(again.id, 'baseline');
  t.match(comparison, { with: { id }, suiteChanged: false, lost: [] });
  t.ok((comparison?.compared.length ?? 0) >= 4);
  t.same(
    (await store.benchmarkRuns({ suite: 'nightly', before: again.id })).map((one) => one.id),
    [id],
  );
  t.equal(await store.benchmarkRunCount(), 2);
  t.equal((await runs.report(again.id, 'last')).comparison?.with.id, id);
});

t.test('two in turn are measured A B B A on each device, one after the other', async (t) => {
  const driver = new StagedDriver(['a']);
  const { store, runs, stop } = await openRuns(driver, systemClock);
  t.teardown(stop);
  const { id } = await runs.start(suite({ devices: ['a'], repeats: 3, alternate: true }));
  await runs.finished(id);
  t.same(
    (await store.benchmarkCases(id)).map(({ network }) => network),
    ['first', 'second', 'second', 'first', 'first', 'second'],
  );
  const jobs = (await store.jobs({ limit: 100 })).reverse();
  t.same(
    jobs.map(({ network }) => (network as { model: string }).model[0]),
    ['a', 'b', 'b', 'a', 'a', 'b'],
  );
  const { alternated } = await runs.report(id, null);
  t.match(alternated[0], { place: 'a', networks: ['first', 'second'], pairs: 3, ratio: { verdict: 'same' } });
});

t.test('what cannot be run is refused before anything is stored', async (t) => {
  const { store, runs, stop } = await openRuns(new StagedDriver(['a']), systemClock);
  t.teardown(stop);
  const refusal = (more: object) => codeOf(runs.start(suite({ devices: ['a'], ...more })));
  t.equal(await refusal({ devices: ['nobody'] }), 'DEVICE_UNKNOWN');
  t.equal(await refusal({ devices: ['tag=none'] }), 'DEVICE_UNKNOWN');
  t.equal(await refusal({ protocol: 'none' }), 'PROTOCOL_UNKNOWN');
  t.equal(await refusal({ networks: [{ model: '0'.repeat(64) }] }), 'NOT_FOUND');
  t.equal(await refusal({ networks: [{ model: 'a'.repeat(64) }], alternate: true }), 'SPEC_INVALID');
  const twice = { model: 'a'.repeat(64), name: 'same' };
  t.equal(await refusal({ networks: [twice, twice] }), 'SPEC_INVALID');
  t.equal(await refusal({ networks: [{ space: 's', samples: 200 }], repeats: 50 }), undefined);
  t.equal(await store.benchmarkRunCount(), 1);
  for (const id of (await store.benchmarkRuns()).map((run) => run.id)) await runs.cancel(id);
  t.equal(await codeOf(runs.show('99')), 'NOT_FOUND');
  t.equal(await codeOf(runs.report('1', 'baseline')), 'NOT_FOUND');
});

t.test('fields are checked strictly, each wrong one named', async (t) => {
  const wrong = (
    given: unknown,
    schema: typeof suiteSchema | typeof suiteFileSchema = suiteSchema,
  ): string => {
    try {
      parseSuite(schema, given, 'the suite');
      return '';
    } catch (thrown) {
      const { code, message, hint } = thrown as HildaError;
      t.equal(code, 'SPEC_INVALID');
      t.match(hint, /docs/);
      return message;
    }
  };
  const good = { suite: 's', networks: [{ model: 'a'.repeat(64) }], devices: ['a'] };
  t.equal(wrong(good), '');
  t.match(wrong({ ...good, tolerence: 1 }), /tolerence/);
  t.match(wrong({ ...good, repeats: 0 }), /repeats/);
  t.match(wrong({ ...good, limits: [{ metric: 'speed', max: 1 }] }), /metric/);
  t.match(wrong({ ...good, suite: '../etc' }), /suite/);
  t.match(wrong({ ...good, devices: [] }), /devices/);
  t.match(wrong(null), /object/);
  t.match(wrong({ ...good, networks: [{ files: 'x' }] }), /networks/, 'files are those of the command');
  t.equal(wrong({ ...good, networks: [{ files: 'x' }] }, suiteFileSchema), '');
});

t.test('a case that fails is told, and the others go on', async (t) => {
  const driver = new StagedDriver(['a', 'b']);
  driver.measure = async (id) => {
    if (id === 'a') return { ...measurement, verdict: 'noisy', reason: 'too loud' };
    return measurement;
  };
  const { store, runs, stop } = await openRuns(driver, systemClock);
  t.teardown(stop);
  const { id } = await runs.start(suite());
  t.match(await runs.finished(id), { state: 'done', done: 4 });
  const states = (await store.benchmarkCases(id)).map(({ place, state, error, measurementId }) => [
    place,
    state,
    error?.code,
    measurementId !== null,
  ]);
  t.same(states, [
    ['a', 'failed', 'MEASUREMENT_INVALID', true],
    ['b', 'done', undefined, true],
    ['a', 'failed', 'MEASUREMENT_INVALID', true],
    ['b', 'done', undefined, true],
  ]);
  const { rows } = await runs.report(id, null);
  t.match(rows.find(({ place }) => place === 'a')?.failures, [/too loud/]);
});

t.test('a device that is away is waited for as long as the suite says', async (t) => {
  const driver = new StagedDriver(['a', 'b']);
  const { pool, runs, store, stop } = await openRuns(driver, systemClock);
  t.teardown(stop);
  const { signal } = new AbortController();
  driver.present = new Set(['b']);
  await pool.discover({ signal });
  const impatient = await runs.start(suite({ waitMinutes: 0 }));
  await runs.finished(impatient.id);
  const failed = (await store.benchmarkCases(impatient.id)).filter(({ state }) => state === 'failed');
  t.same(
    failed.map(({ place, error }) => [place, error?.code]),
    [
      ['a', 'DEVICE_GONE'],
      ['a', 'DEVICE_GONE'],
    ],
  );
  const patient = await runs.start(suite({ waitMinutes: 60 }));
  await until(async () => (await runs.show(patient.id)).done === 2, 'the device that is here is done');
  driver.present = new Set(['a', 'b']);
  await pool.discover({ signal });
  t.match(await runs.finished(patient.id), { state: 'done', done: 4 });
  t.ok((await store.benchmarkCases(patient.id)).every(({ state }) => state === 'done'));
});

t.test('a cancelled run ends its jobs and keeps what was measured', async (t) => {
  const driver = new StagedDriver(['a', 'b']);
  const [held, release] = gate();
  t.teardown(release);
  let calls = 0;
  driver.measure = async (_, signal) => {
    if (++calls > 2)
      await Promise.race([
        held,
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
      ]);
    return measurement;
  };
  const { store, runs, stop } = await openRuns(driver, systemClock);
  t.teardown(stop);
  const { id } = await runs.start(suite());
  await until(() => calls === 4, 'four measurements begin');
  t.match(await runs.cancel(id), { state: 'cancelled', done: 2 });
  t.equal(await store.jobCount({ states: ['queued', 'running'] }), 0);
  t.equal(await codeOf(runs.cancel(id)), 'STATE_CONFLICT');
  const { rows } = await runs.report(id, null);
  t.same(
    rows.map(({ taken, failures }) => [taken.length, failures]),
    [
      [1, []],
      [1, []],
      [0, ['not measured']],
      [0, ['not measured']],
    ],
  );
});

t.test('a daemon that stops leaves the run to the next one', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-runs-'));
  t.teardown(() => rm(dataDir, { recursive: true, force: true }));
  const driver = new StagedDriver(['a', 'b']);
  let calls = 0;
  driver.measure = async (_, signal) => {
    if (++calls > 1) await systemClock.sleep(600_000, { signal });
    return measurement;
  };
  const first = await openRuns(driver, systemClock, dataDir);
  const { id } = await first.runs.start(suite());
  await until(async () => (await first.runs.show(id)).done === 1, 'one measurement is stored');
  await first.stop();
  const next = await openRuns(new StagedDriver(['a', 'b']), systemClock, dataDir);
  t.teardown(next.stop);
  t.match(await next.runs.show(id), { state: 'running', done: 1 });
  await next.campaigns.start();
  t.match(await next.runs.finished(id), { state: 'done', done: 4 });
  t.equal(await next.store.jobCount({}), 4, 'each job is asked for once');
});

t.test('a run survives kills: nothing is lost, nothing is measured twice', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-killed-runs-'));
  t.teardown(() => rm(dataDir, { recursive: true, force: true }));
  const child = fileURLToPath(new URL('./killed-child.js', import.meta.url));
  /** Kills it after so many measurements have begun, or never. */
  const live = (killAfter: number): Promise<string> =>
    new Promise((resolve, reject) => {
      const daemon = spawn(process.execPath, [child, dataDir], { stdio: ['ignore', 'pipe', 'inherit'] });
      let text = '';
      daemon.stdout.on('data', (data) => {
        text += String(data);
        if (text.split('measured').length - 1 >= killAfter) daemon.kill('SIGKILL');
      });
      daemon.on('error', reject);
      daemon.on('exit', () => resolve(text));
    });
  for (const killAfter of [1, 6, 11, 3]) await live(killAfter);
  t.match(await live(Number.POSITIVE_INFINITY), /ended done/);
  const store = await openStore({ dataDir, clock: systemClock });
  t.teardown(() => store.close());
  const [run] = await store.benchmarkRuns();
  t.match(run, { state: 'done', done: 48, of: 48 });
  const cases = await store.benchmarkCases(run?.id as string);
  t.ok(cases.every(({ state }) => state === 'done'));
  const ids = cases.map(({ measurementId }) => measurementId);
  t.equal(new Set(ids).size, 48, 'each case has a measurement of its own');
  t.equal(await store.measurementCount({}), 48);
  t.equal(await store.jobCount({}), 48);
});
