import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { systemClock } from '../../../daemon/core/clock.js';
import type { Driver } from '../../../daemon/devices/contract.js';
import { FakeDriver } from '../../../daemon/devices/fake/driver.js';
import { Daemon } from '../../../daemon/process/daemon.js';
import { parseStudySpec } from '../../../daemon/study/spec.js';
import { Specialisations } from '../../../daemon/study/specialisation/specialisations.js';
import { runCommand } from '../../cli/run-command.js';
import { ownerFetch } from '../../owner-fetch.js';
import { openBench, profilesDir, smallSpec } from '../bench.js';
import { CountingDriver } from './counting-driver.js';

t.setTimeout(280_000);

async function temporaryFolder(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-specialise-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

async function openDaemon(t: Test, dataDir: string, driver: Driver, ids: readonly string[]) {
  const daemon = new Daemon({ dataDir, port: 0, clock: systemClock, drivers: [driver] });
  const url = await daemon.start(new AbortController().signal);
  t.teardown(() => daemon.stop());
  for (const id of ids) await ownerFetch(`${url}/v1/devices/${id}/adopt`, { method: 'POST', body: '{}' });
  return { daemon, url };
}

const json = { 'content-type': 'application/json' };

// biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, asserted on.
const get = async (url: string, path: string): Promise<any> => (await ownerFetch(`${url}/v1${path}`)).json();

t.test('each winner is the fastest on its own device; the matrix is stored', async (t) => {
  const dir = await temporaryFolder(t);
  const ids = ['fake-0', 'fake-1', 'fake-2'];
  const driver = new FakeDriver({
    ids,
    ratesOf: {
      // Slow at arithmetic, slow at memory, slow at starting operators.
      'fake-0': { macsPerUs: 200, bytesPerUs: 1e5, operatorUs: 0.1 },
      'fake-1': { macsPerUs: 1e5, bytesPerUs: 300, operatorUs: 0.1 },
      'fake-2': { macsPerUs: 1e5, bytesPerUs: 1e5, operatorUs: 60 },
    },
  });
  const { url } = await openDaemon(t, dir, driver, ids);
  const [specFile, out] = [join(dir, 'spec.json'), join(dir, 'matrix.json')];
  const changes = { sampler: { name: 'auto' }, budget: { trials: 36 }, batch: 12 };
  await writeFile(specFile, JSON.stringify(await smallSpec(dir, changes)));
  const args = ['specialise', specFile, '--devices', ids.join(','), '--slack', '0.061', '--out', out];
  const { code, out: answer, err: notes } = await runCommand(url, '--json', 'search', ...args);
  t.equal(code, 0, notes);
  t.match(notes, /(search|finals) on fake-1 \(study-\d\): trials \d/, 'progress of each study');
  const matrix = JSON.parse(answer);
  t.equal(matrix.schema, 'hilda.specialisation.v1');
  t.same(JSON.parse(await readFile(out, 'utf8')), matrix, 'in the file');
  const { schema: _, ...body } = matrix;
  t.same(await get(url, `/specialisations/${matrix.id}`), body, 'and in the daemon');
  const { rows, columns, distinctFinalists } = matrix;
  t.equal(rows.length, 3);
  t.ok(distinctFinalists > 5 && distinctFinalists <= 15, `${distinctFinalists} finalists`);
  for (const [i, row] of rows.entries()) {
    const { trials } = await get(url, `/studies/${columns[i].finals}/trials`);
    t.equal(trials.length, distinctFinalists, 'all that were sent are kept, on each device');
    const able = trials.filter((trial: Trial) => (trial.values.accuracy as number) >= matrix.level);
    const values = able.map((trial: Trial) => trial.values.latencyUs as number);
    t.equal(row.cells[row.deviceId].value, Math.min(...values), row.deviceId);
    const source = columns.find((column: Column) => column.deviceId === row.foundFor);
    t.equal(row.study, source.search, 'it says whose search found it');
    const found = (await get(url, `/studies/${row.study}/trials`)).trials[row.trialNumber];
    t.equal(found.architectureId, row.architectureId);
    t.ok(['fastest', 'not apart'].includes(row.standing), `${row.deviceId}: ${row.standing}`);
    for (const [device, cell] of Object.entries<Cell>(row.cells)) {
      const measured = await get(url, `/measurements/${cell.measurementId}`);
      t.match(measured, { deviceId: device, verdict: 'valid', latency: { normalisedUs: cell.value } });
      t.ok((cell.accuracy as number) >= matrix.level);
    }
  }
  t.ok(new Set(rows.map((row: Row) => row.architectureId)).size >= 2, 'devices differ, winners differ');

  const table = await runCommand(url, 'search', 'matrix', matrix.id);
  t.match(table.out, /LATENCY ON fake-2/);
  t.match((await runCommand(url, 'search', 'matrix')).out, /specialisation-1 +completed/);
  t.equal((await runCommand(url, 'search', 'matrix', 'specialisation-9')).code, 3);
  t.equal((await runCommand(url, 'search', 'specialise')).code, 2, 'neither a specification nor --resume');

  const studies = columns.map((column: Column) => column.search);
  const again = ['specialise', specFile, '-d', ids.join(','), '--searches', studies.join(','), '-s', '0'];
  const stricter = JSON.parse((await runCommand(url, '--json', 'search', ...again)).out);
  t.same(
    stricter.columns.map((column: Column) => column.search),
    studies,
    'searches that ended are taken as they are',
  );
  t.ok(stricter.level > matrix.level);
  const other = join(dir, 'other.json');
  await writeFile(other, JSON.stringify(await smallSpec(dir, { space: 'mbconv-fmnist' })));
  const refusals: [searches: string, why: RegExp, file?: string, devices?: string][] = [
    [studies[2], /no study of one of these devices alone/, specFile, 'fake-0,fake-1'],
    [`${studies[0]},${stricter.columns[0].finals}`, /are both of fake-0/],
    [studies[0], /another space than mbconv-fmnist/, other],
    ['study-99', /no study study-99/],
  ];
  for (const [searches, why, file = specFile, on = ids.join(',')] of refusals) {
    const refused = await runCommand(url, 'search', 'specialise', file, '-d', on, '--searches', searches);
    t.match(refused.err, why);
    t.equal(refused.code, searches === 'study-99' ? 3 : 2, searches);
  }
  const posted = async (more: object) => {
    const body = JSON.stringify({
      spec: JSON.parse(await readFile(specFile, 'utf8')),
      devices: ids,
      ...more,
    });
    return (await (
      await ownerFetch(`${url}/v1/specialisations`, { method: 'POST', headers: json, body })
    ).json()) as Problem;
  };
  t.equal((await posted({ searches: { any: studies[0] } })).code, 'REQUEST_INVALID', 'a list, not a map');
  t.match(await posted({ searches: [studies[0], studies[0]] }), {
    code: 'SPEC_INVALID',
    details: { fields: ['searches'] },
  });
  t.equal((await posted({ protocol: 'unheard-of' })).code, 'PROTOCOL_UNKNOWN', 'before hours of searching');
  t.equal((await posted({ finalists: 21 })).code, 'REQUEST_INVALID');
  for (const count of ['0', '21', '2.5', 'all']) {
    const refused = await runCommand(url, '--json', 'search', ...args, '--finalists', count);
    t.equal(refused.code, 2, count);
    t.match(refused.err, /USAGE_INVALID.*--finalists/s, count);
  }
  t.equal((await get(url, '/specialisations')).specialisations.length, 2, 'nothing was started');

  const winner = ['--json', 'search', 'winner', ...studies, '--limit'];
  const best = await runCommand(url, ...winner, 'parameters<=100000');
  t.equal(best.code, 0, best.err);
  t.ok(JSON.parse(best.out).winner.values.parameters <= 100_000);
  t.equal((await runCommand(url, ...winner, 'parameters<=1')).code, 6);
});

t.test('boards that count stand beside a host that times, in turn and each in its unit', async (t) => {
  const dir = await temporaryFolder(t);
  const ids = ['fake-0', 'board'];
  const driver = new CountingDriver({ ids, board: 'board' });
  const { url } = await openDaemon(t, dir, driver, ids);
  const specFile = join(dir, 'spec.json');
  const changes = {
    objectives: [
      { metric: 'accuracy', goal: 'max' },
      { metric: 'latencyUs', goal: 'min' },
      { metric: 'cycles@board', goal: 'min' },
    ],
    // Small enough to refuse the most accurate architectures there, and there alone.
    constraints: [{ metric: 'flashBytes@board', max: 5000 }],
    devices: ids,
    budget: { trials: 30 },
    batch: 10,
  };
  await writeFile(specFile, JSON.stringify(await smallSpec(dir, changes)));
  const {
    code,
    out,
    err: notes,
  } = await runCommand(url, '--json', 'search', 'specialise', specFile, '--slack', '0', '--finalists', '1');
  t.equal(code, 0, notes);
  const { columns, rows, id, finalists, distinctFinalists } = JSON.parse(out);
  t.equal(finalists, 1);
  t.ok(distinctFinalists <= 2, 'its winner of each search');
  t.same(
    columns.map((column: { speed: string }) => column.speed),
    ['latencyUs', 'cycles'],
  );
  t.equal(driver.overlaps, 0, 'no measurement ran beside another on the same host');
  for (const { deviceId, search } of columns) {
    const { trials } = await get(url, `/studies/${search}/trials`);
    const refused = trials.filter(({ state }: { state: string }) => state === 'infeasible').length;
    t.equal(refused > 0, deviceId === 'board', 'the limit is the board’s alone');
  }
  for (const row of rows) {
    t.equal(row.cells['fake-0'].ci.length, 2, 'a time, with its interval');
    t.match(row.cells.board, { provenance: 'emulated', ci: null });
    const counted = await get(url, `/measurements/${row.cells.board.measurementId}`);
    t.equal(row.cells.board.value, counted.counts.total, 'a count, and no time');
  }
  const table = (await runCommand(url, 'search', 'matrix', id)).out;
  t.match(table, /LATENCY ON fake-0 +CYCLES \(MODELLED\) ON board/);
});

t.test('a daemon that stops leaves it paused; it goes on with the same studies', async (t) => {
  const dir = await temporaryFolder(t);
  const ids = ['fake-0', 'board'];
  const first = new CountingDriver({ ids, board: 'board' });
  const { daemon, url } = await openDaemon(t, dir, first, ids);
  const spec = await smallSpec(dir, {
    objectives: [
      { metric: 'accuracy', goal: 'max' },
      { metric: 'latencyUs', goal: 'min' },
      { metric: 'cycles@board', goal: 'min' },
    ],
    budget: { trials: 20 },
    batch: 5,
  });
  const midway = new Promise<void>((resolve) => {
    first.before = (id, count) => {
      if (id === 'board' && count === 8) resolve();
    };
  });
  const body = JSON.stringify({ spec, devices: ids });
  const created = await ownerFetch(`${url}/v1/specialisations`, { method: 'POST', headers: json, body });
  t.equal(created.status, 202);
  const { id } = (await created.json()) as { id: string };
  await midway;
  const refused = await ownerFetch(`${url}/v1/specialisations/${id}/resume`, { method: 'POST', body: '{}' });
  t.equal(refused.status, 409, 'it runs');
  await daemon.stop();

  const second = new CountingDriver({ ids, board: 'board' });
  const { url: again } = await openDaemon(t, dir, second, ids);
  const paused = await get(again, `/specialisations/${id}`);
  t.match(paused, { state: 'paused', rows: [], level: null });
  t.match((await runCommand(again, 'search', 'matrix', id)).out, /is paused/);
  const { code, out, err: notes } = await runCommand(again, '--json', 'search', 'specialise', '--resume', id);
  t.equal(code, 0, notes);
  const { columns, distinctFinalists } = JSON.parse(out);
  t.same(
    columns.map((column: { search: string }) => column.search),
    paused.columns.map((column: { search: string }) => column.search),
    'no study was started anew',
  );
  for (const { search } of columns)
    t.equal((await get(again, `/studies/${search}/trials`)).trials.length, 20);
  t.equal(second.measured.get('fake-0'), distinctFinalists, 'the search on fake-0 had ended: finals alone');
  t.ok((second.measured.get('board') ?? 0) <= 13 + distinctFinalists, 'what was told is not measured again');
});

t.test(
  'one stored before searches shared their finds opens and goes on: each sends its winner',
  async (t) => {
    const dir = await temporaryFolder(t);
    const ids = ['fake-0', 'fake-1'];
    const bench = await openBench(dir, { ids });
    t.teardown(() => bench.close());
    const { store, studies } = bench;
    const columns = ids.map(async (deviceId) => ({
      deviceId,
      host: null,
      speed: 'latencyUs',
      spec: parseStudySpec(await smallSpec(dir, { devices: [deviceId], budget: { trials: 12 } })),
      search: null,
    }));
    const body = { slack: 0.05, protocol: null, columns: await Promise.all(columns) };
    const { id } = await store.addSpecialisation({ name: 'earlier', body: body as never });
    const specialisations = new Specialisations({ store, studies, profilesDir });
    await specialisations.start();
    t.match(await specialisations.show(id), { state: 'paused', finalists: 1, rows: [] });
    await specialisations.resume(id);
    await specialisations.settled(id);
    const { state, distinctFinalists, rows } = await specialisations.show(id);
    t.equal(state, 'completed');
    t.ok([1, 2].includes(distinctFinalists as number));
    t.ok(rows.every(({ standing }) => ['fastest', 'not apart'].includes(standing)));
  },
);

interface Problem {
  readonly code: string;
  readonly details: unknown;
}
interface Cell {
  readonly value: number | null;
  readonly accuracy: number | null;
  readonly measurementId: string;
}
interface Column {
  readonly deviceId: string;
  readonly search: string;
}
interface Trial {
  readonly values: Readonly<Record<string, number>>;
}
interface Row {
  readonly architectureId: string;
  readonly standing: string;
  readonly deviceId: string;
  readonly cells: Readonly<Record<string, Cell>>;
}
