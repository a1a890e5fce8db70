import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { HildaError } from '../../daemon/core/errors.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { FailingDriver } from '../blame/failing-driver.js';
import { failureTexts } from '../blame/failure-texts.js';
import { departing, parties } from '../blame/parties.js';
import { blameSpec, runCase } from '../blame/run-case.js';
import { compareDevices } from '../jobs/compare-devices.js';
import { openBench, smallSpec } from './bench.js';

t.setTimeout(300_000);

async function folder(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-blame-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

t.test('every party is blamed for what it does, in all wordings: a part of bench blame', async (t) => {
  const spec = await blameSpec(await folder(t));
  t.ok(failureTexts.length >= 60, `${failureTexts.length} texts`);
  t.equal(new Set(failureTexts.map(({ name }) => name)).size, failureTexts.length);
  // Each party with another text, and texts of every runtime.
  const names = [
    'runner gone',
    'no kernel',
    'custom op',
    'fetch, Safari',
    'Chinese',
    'segmentation fault',
    'copy, no room',
  ];
  const memory = ['bad alloc', 'killed'];
  const textOf = (name: string) => failureTexts.find((text) => text.name === name)!;
  const usual = parties.filter((party) => !party.memory);
  const cases = [
    ...usual.map((party, i) => ({ party, text: textOf(names[i % names.length]!) })),
    ...usual.slice(0, 3).map((party, i) => ({ party, text: textOf(names[(i + 3) % names.length]!) })),
    ...parties.filter((party) => party.memory).map((party, i) => ({ party, text: textOf(memory[i]!) })),
    { party: departing, text: textOf('no kernel') },
  ];
  for (const { party, text } of cases)
    t.same(await runCase(text, party, spec), [], `${text.name}: ${party.name}`);
});

t.test('a device that fails everything is left for its equal, and no trial is spent on it', async (t) => {
  const dir = await folder(t);
  const driver = new FailingDriver({ ids: ['fake-0', 'fake-1'] });
  const bench = await openBench(dir, {}, () => [driver]);
  t.teardown(() => bench.close());
  const { store, jobs, clock, studies } = bench;
  const [own, equal] = ['fake-0', 'fake-1'] as DeviceId[] as [DeviceId, DeviceId];
  const { signal } = new AbortController();
  t.ok((await compareDevices(own, equal, { store, jobs, clock }, { signal, protocol: 'quick' })).equivalent);
  driver.before = ({ id }) => {
    if (id === own) throw new HildaError('FAILURE_UNEXPLAINED', 'no table knows this');
  };
  await t.rejects(
    compareDevices(own, equal, { store, jobs, clock }, { signal, protocol: 'quick', visits: 2 }),
    { code: 'DEVICE_FAILED', message: /reference network either: no table knows this/ },
    'a comparison says whose fault it is',
  );
  const { id } = await studies.create(await smallSpec(dir, { devices: [own], budget: { trials: 8 } }));
  await studies.settled(id);
  t.match(await store.study(id), { state: 'completed', reason: null });
  const trials = await store.trials(id);
  t.ok(trials.every(({ state, measurements }) => state === 'complete' && measurements[equal]));
  t.match(await store.device(own), { state: 'quarantined', reason: /no table knows this/ });
});

t.test('an evaluator that fails is at fault, and the study that only failed says so', async (t) => {
  const dir = await folder(t);
  const bench = await openBench(dir);
  t.teardown(() => bench.close());
  const { store, studies } = bench;
  const failing = async (script: string, changes: object = {}) => {
    const evaluator = { kind: 'command', command: ['/bin/sh', '-c', script] };
    const { id } = await studies.create(
      await smallSpec(dir, { evaluator, budget: { trials: 30 }, batch: 5, ...changes }),
    );
    await studies.settled(id);
    return { study: await store.study(id), trials: await store.trials(id) };
  };
  const crashing = await failing('echo CUDA out of memory >&2; exit 1');
  t.match(crashing.study, {
    state: 'failed',
    reason: /^EVALUATION_FAILED: the evaluator gave no value for any of 10 trials: .*CUDA out of memory/,
  });
  t.ok(
    crashing.trials.every(({ state }) => state === 'failed'),
    'no sampler hears that a network is infeasible',
  );
  t.equal(crashing.trials.length, 10, 'it does not go on for hours');
  const chatty = await failing('echo ready', { budget: { trials: 2 } });
  t.match(chatty.study, { state: 'failed', reason: /^EVALUATION_FAILED: .*printed no JSON/ });
  const half = await failing('echo \'{"accuracy": 0.5}\'', { budget: { trials: 2 } });
  t.equal(half.study.state, 'completed');
  const named = {
    kind: 'command',
    command: ['/bin/sh', '-c', 'echo \'{"accuracy": 0.5}\''],
    metrics: ['f1'],
  };
  const short = await failing('', {
    evaluator: named,
    objectives: [{ metric: 'f1', goal: 'max' }],
    budget: { trials: 2 },
  });
  t.match(short.study, { state: 'failed', reason: /^EVALUATION_FAILED: .*printed no f1/ });
  for (const metrics of [['latencyUs'], ['macs'], []]) {
    const evaluator = { ...named, metrics };
    await t.rejects(studies.create(await smallSpec(dir, { evaluator })), { code: 'SPEC_INVALID' });
  }
});
