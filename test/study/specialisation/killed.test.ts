import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '../../../daemon/core/clock.js';
import type { StudyRecord, TrialRecord } from '../../../daemon/store/contract.js';
import { openStore } from '../../../daemon/store/open-store.js';
import { specialisationOf } from '../../../daemon/study/specialisation/progress.js';
import { openBench, smallSpec } from '../bench.js';

const child = new URL('./killed-child.js', import.meta.url).pathname;
const devices = ['fake-0', 'fake-1'];
const trials = 12;

t.test('kill -9 after any write that starts a study: none is made twice, no trial is lost', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-killed-'));
  t.teardown(() => rm(dataDir, { recursive: true, force: true }));
  const spec = await smallSpec(dataDir, { budget: { trials }, batch: 4, devices });
  const request = JSON.stringify({ spec, devices, slack: 0.1, finalists: 3 });

  /** How the child ended, and what it left. */
  const run = async (killAt = '') => {
    const args = [child, dataDir, request, ...(killAt === '' ? [] : [killAt])];
    const [code, signal] = await once(
      spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'] }),
      'exit',
    );
    const store = await openStore({ dataDir, clock: systemClock });
    const studies = await store.studies();
    const left = await Promise.all(studies.map(({ id }) => store.trials(id)));
    await store.close();
    return { code, signal, studies, trials: left.flat() };
  };

  const partsOf = (studies: readonly StudyRecord[]): string[] =>
    studies.map(({ part }) => `${part?.role} ${part?.deviceId}`).sort();
  const finished = (all: readonly TrialRecord[]): TrialRecord[] =>
    all.filter(({ state }) => state !== 'asked');
  const searches = devices.map((id) => `search ${id}`);
  const steps = [
    { killAt: 'addSpecialisation:1', parts: [] },
    { killAt: 'createStudy:1', parts: 1 },
    { killAt: 'createStudy:1', parts: searches },
    { killAt: 'finishTrial:7', parts: searches },
    { killAt: 'createStudy:1', parts: 3 },
    { killAt: 'createStudy:1', parts: 4 },
    { killAt: 'finishTrial:1', parts: 4 },
  ];
  let before: readonly TrialRecord[] = [];
  for (const { killAt, parts } of steps) {
    const { signal, studies, trials: left } = await run(killAt);
    t.equal(signal, 'SIGKILL', killAt);
    if (typeof parts === 'number') t.equal(studies.length, parts, killAt);
    else t.same(partsOf(studies), parts, killAt);
    for (const trial of finished(before)) {
      const now = left.find(({ studyId, number }) => studyId === trial.studyId && number === trial.number);
      t.same({ ...now, told: true }, { ...trial, told: true }, 'a finished trial stays as it was');
    }
    before = left;
  }
  t.ok(finished(before).length >= 2 * trials, 'the searches had ended before the last kill');

  const { code, studies, trials: all } = await run();
  t.equal(code, 0);
  t.same(partsOf(studies), [...searches, ...devices.map((id) => `finals ${id}`)].sort());
  const sent = new Set<number>();
  for (const { id, state, part } of studies) {
    t.equal(state, 'completed', id);
    const own = all.filter(({ studyId }) => studyId === id);
    t.ok(own.every((trial) => trial.state === 'complete' && trial.told));
    t.equal(new Set(own.map(({ architectureId }) => architectureId)).size, own.length, 'each once');
    if (part?.role === 'search') t.equal(own.length, trials);
    else sent.add(own.length);
  }
  const bench = await openBench(dataDir, { ids: devices });
  t.teardown(() => bench.close());
  const [record] = await bench.store.specialisations();
  t.equal(record?.state, 'completed', record?.reason ?? '');
  const { rows, distinctFinalists } = await specialisationOf(record!, bench);
  t.same([...sent], [distinctFinalists], 'every finalist on every device');
  t.ok((distinctFinalists as number) > 2, 'more than the winners');
  const cells = rows.flatMap((row) => Object.values(row.cells));
  t.equal(cells.length, 4);
  t.ok(cells.every(({ value }) => value !== null));
});

t.test('a study that could not be launched is taken up again, not made anew', async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), 'hilda-launch-'));
  t.teardown(() => rm(dataDir, { recursive: true, force: true }));
  let refuse = true;
  const bench = await openBench(dataDir, { ids: devices }, undefined, (store) => ({
    ...store,
    // What a launch reads of the study's past.
    trialsSince: async (...given) => {
      if (refuse) throw new Error('injected');
      return store.trialsSince(...given);
    },
  }));
  t.teardown(() => bench.close());
  const { id: specialisationId } = await bench.store.addSpecialisation({ name: 'x', body: null });
  const part = { specialisationId, deviceId: 'fake-0', role: 'search' } as never;
  const spec = await smallSpec(dataDir, { budget: { trials: 2 }, batch: 2 });
  await t.rejects(bench.studies.create(spec, { part }), /injected/);
  const [study] = await bench.store.studies();
  t.match(study, { state: 'failed', reason: 'injected', part });
  refuse = false;
  await t.rejects(bench.studies.create(spec, { part }), { code: 'STATE_CONFLICT' });
  await bench.studies.resume(study!.id);
  await bench.studies.settled(study!.id);
  t.equal((await bench.store.study(study!.id)).state, 'completed');
  t.equal((await bench.store.studies()).length, 1);
});
