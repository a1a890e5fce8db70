import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import type { StudyId } from '../../daemon/core/ids.js';
import type { Driver } from '../../daemon/devices/contract.js';
import { decisionsOf } from '../../daemon/search/spaces/parts/decisions.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import type { TrialRecord } from '../../daemon/store/contract.js';
import { Crew, Lanes } from '../../daemon/study/crew.js';
import type { OutsideResult } from '../../daemon/study/outside.js';
import { findSpace } from '../../daemon/study/parts.js';
import { temporaryFolder } from '../api/bench.js';
import { type Bench, openBench, profilesDir, smallSpace, testSpec } from './bench.js';
import { LeavingDriver } from './leaving-driver.js';

t.setTimeout(300_000);
const { signal } = new AbortController();
const quick = { waitMs: 20_000, steps: [], numbers: [] } as const;
const numbers = (trials: readonly TrialRecord[]): number[] => trials.map(({ number }) => number);

/** Asks and tells of one study. */
function exchange({ studies }: Bench, id: StudyId) {
  const ask = (request: object = {}) => studies.ask(id, { n: 10, waitMs: 20_000, ...request }, { signal });
  const tell = (results: readonly (readonly [number, OutsideResult])[], request: object = {}) =>
    studies.tell(
      id,
      { ...quick, results: results.map(([number, result]) => ({ number, result })), ...request },
      { signal },
    );
  const told = (accuracy: number): OutsideResult => ({ values: { accuracy } });
  return { ask, tell, told };
}

async function openStudy(t: Test, changes: object = {}, driver?: Driver) {
  const bench = await openBench(await temporaryFolder(t), {}, driver && (() => [driver]));
  t.teardown(() => bench.close());
  const spec = { space: smallSpace, evaluator: { kind: 'external' }, budget: { trials: 6 }, batch: 3 };
  const { id } = await bench.studies.create(testSpec({ ...spec, ...changes }));
  return { bench, id, ...exchange(bench, id) };
}

t.test('a batch is measured while nothing is told, and told in any order', async (t) => {
  const { bench, id, ask, tell, told } = await openStudy(t);
  const first = await ask({ n: 3 });
  t.same(numbers(first.trials), [0, 1, 2], 'one device, three trials wait');
  t.same(numbers((await ask({ n: 2 })).trials), [0, 1]);
  t.same(numbers((await ask({ except: [0, 1] })).trials), [2], 'no other is being measured');
  t.same((await ask({ except: [0, 1, 2], waitMs: 100 })).trials, []);
  for (const [number, accuracy] of [
    [2, 0.7],
    [0, 0.5],
  ] as const) {
    const { trials } = await tell([[number, told(accuracy)]]);
    t.match(trials, [{ number, state: 'complete', told: false, values: { accuracy } }]);
    t.ok(trials[0]!.values.latencyUs! > 0);
  }
  t.equal(
    (await ask({ except: [1], waitMs: 200 })).trials.length,
    0,
    'a batch is asked after the one before',
  );
  await tell([[1, told(0.6)]]);
  const { trials: next } = await ask({ n: 3 });
  t.same(numbers(next), [3, 4, 5]);

  // A retry, a correction, a slip.
  t.equal((await tell([[1, told(0.6)]])).trials[0]?.values.accuracy, 0.6, 'told again and equal');
  await t.rejects(
    tell([
      [3, told(0.8)],
      [1, told(0.61)],
    ]),
    {
      code: 'RESULT_CONFLICT',
      details: { number: 1, stored: told(0.6), offered: told(0.61) },
    },
  );
  t.equal((await bench.store.trials(id))[3]?.result, null, 'nothing of a refused call is kept');
  await t.rejects(
    tell([
      [3, told(0.8)],
      [6, told(0.8)],
    ]),
    { code: 'NOT_FOUND' },
  );
  await t.rejects(tell([], { numbers: [6] }), { code: 'NOT_FOUND' });
  for (const wrong of [91.5, -1, Number.NaN])
    await t.rejects(
      tell([
        [4, told(0.5)],
        [3, told(wrong)],
      ]),
      { code: 'SPEC_INVALID' },
      `${wrong}`,
    );
  await t.rejects(tell([[3, { values: { speed: 1 } }]]), {
    code: 'SPEC_INVALID',
    details: { missing: ['accuracy'] },
  });

  const limited: OutsideResult = { values: { accuracy: 0.9 }, constraints: [-1, 0.25] };
  const steps = [
    { number: 3, step: 2, value: 0.5 },
    { number: 3, step: 1, value: 0.25 },
  ];
  await tell([], { steps: steps.slice(1) });
  const ended = await tell(
    [
      [3, limited],
      [4, { state: 'pruned', reason: 'worse than the median at step 1' }],
      [5, { state: 'infeasible', reason: 'no such operator on the accelerator' }],
    ],
    { steps },
  );
  t.match(ended.trials, [
    { state: 'infeasible', reason: /constraint 1: 0.25 > 0/, values: { accuracy: 0.9 } },
    { state: 'failed', reason: /^EVALUATION_FAILED: reported over HTTP: pruned: worse/ },
    { state: 'infeasible', reason: /no such operator/ },
  ]);
  for (const { values } of ended.trials) t.ok(values.latencyUs! > 0, 'what was measured stands');
  t.same((await bench.store.steps(id, [3])).get(3), [
    { step: 1, value: 0.25 },
    { step: 2, value: 0.5 },
  ]);
  await bench.studies.settled(id);
  t.equal((await bench.studies.show(id)).record.state, 'completed');
  t.equal(
    (await tell([[3, limited]], { steps })).state,
    'completed',
    'a lost answer may be asked for at the end',
  );
});

t.test('the order of answers changes no proposal', async (t) => {
  const proposed = async (order: (a: number, b: number) => number): Promise<string[]> => {
    const { bench, id, ask, tell, told } = await openStudy(t, {
      sampler: { name: 'regularized-evolution', options: {} },
      budget: { trials: 12 },
      batch: 4,
    });
    for (let state = 'running'; state === 'running'; ) {
      const { trials } = await ask({ n: 4 });
      for (const number of numbers(trials).sort(order))
        ({ state } = await tell([[number, told(0.5 + ((number * 7) % 12) / 40)]]));
      await bench.clock.sleep(20);
      ({ state } = (await bench.studies.show(id)).record);
    }
    return (await bench.store.trials(id)).map((trial) => trial.architectureId);
  };
  t.same(await proposed((a, b) => b - a), await proposed((a, b) => a - b));
});

t.test('several trainers share a batch, and one that dies loses its trials to the others', async (t) => {
  const { ask, tell, told } = await openStudy(t);
  const one = await ask({ n: 1, holder: 'gpu-1' });
  const two = await ask({ n: 2, holder: 'gpu-2', holdMs: 300 });
  t.same([numbers(one.trials), numbers(two.trials)], [[0], [1, 2]]);
  t.same(
    numbers((await ask({ n: 1, holder: 'gpu-1' })).trials),
    [0],
    'after a lost answer it is given the same',
  );
  const after = await ask({ n: 2, holder: 'gpu-1', except: [0], waitMs: 5000 });
  t.same(numbers(after.trials), [1, 2], 'gpu-2 said nothing for 300 ms');
  await tell([
    [0, told(0.5)],
    [1, told(0.5)],
    [2, told(0.5)],
  ]);
  const next = await ask({ n: 3, holder: 'gpu-2', holdMs: 1000 });
  t.same(numbers(next.trials), [3, 4, 5]);
});

t.test('with a sampler outside, a proposal starts beside all that are under way', async (t) => {
  const driver = new LeavingDriver(['fake-0']);
  const { bench, id, ask, tell, told } = await openStudy(
    t,
    { sampler: { name: 'external' }, budget: { trials: 5 }, batch: 1 },
    driver,
  );
  const propose = (...architectures: number[][]) =>
    ask({ proposals: architectures.map((architecture) => ({ architecture })) });
  t.same(numbers((await propose([0, 0])).trials), [0]);
  t.same(numbers((await ask({ n: 1 })).trials), [0]);
  t.same(numbers((await propose([1, 1], [2, 2])).trials), [1, 2], 'trial 0 is not told yet');
  t.same(numbers((await ask({ n: 3 })).trials), [0, 1, 2], 'and the device goes on');
  await tell([[2, told(0.5)]]);
  t.match(await bench.store.trials(id), [
    { told: false },
    { told: false },
    { state: 'complete', told: false },
  ]);
  await tell([[0, told(0.5)]]);
  await tell([[1, told(0.5)]]);
  await bench.clock.sleep(50);
  t.equal((await bench.studies.show(id)).told, 3, 'told in the order of trials');

  driver.leave('fake-0');
  t.same(numbers((await propose([3, 3])).trials), [3]);
  t.same((await ask({ except: [0, 1, 2], waitMs: 300 })).trials, [], 'it is held for the device');
  driver.return('fake-0');
  t.same(numbers((await ask({ n: 1 })).trials), [3]);
  await bench.studies.pause(id);
  t.equal(
    (await tell([[3, told(0.75)]], { waitMs: 0 })).state,
    'paused',
    'a training may end while a study is paused',
  );
  await bench.studies.resume(id);
  t.match((await tell([[3, told(0.75)]])).trials, [{ state: 'complete', values: { accuracy: 0.75 } }]);
  await propose([4, 4]);
  await tell([[4, told(0.5)]]);
  await bench.studies.settled(id);
  t.match(await bench.studies.show(id), { record: { state: 'completed' }, told: 5, complete: 5 });
});

t.test('a program of this host that scores keeps no board waiting', async (t) => {
  const dir = await temporaryFolder(t);
  const bench = await openBench(dir);
  t.teardown(() => bench.close());
  const gate = `setInterval(() => {
    if (!require('fs').existsSync('${dir}/go')) return;
    console.log('{"accuracy": 0.5}');
    process.exit(0);
  }, 20)`;
  const { id } = await bench.studies.create(
    testSpec({
      space: smallSpace,
      evaluator: { kind: 'command', command: [process.execPath, '-e', gate] },
      budget: { trials: 4 },
      batch: 4,
    }),
  );
  const measured = async (): Promise<number> =>
    (await bench.store.trials(id)).filter(({ measurements }) => Object.keys(measurements).length > 0).length;
  for (let i = 0; i < 400 && (await measured()) < 4; i++) await bench.clock.sleep(20);
  t.equal(await measured(), 4, 'all were measured while the first is scored');
  await writeFile(`${dir}/go`, '');
  await bench.studies.settled(id);
  t.equal((await bench.studies.show(id)).complete, 4);
});

t.test('an evaluator that crashes is no fault of the network', async (t) => {
  const bench = await openBench(await temporaryFolder(t));
  t.teardown(() => bench.close());
  const command = [process.execPath, '-e', 'console.error("no module torch"); process.exit(1)'];
  const { id } = await bench.studies.create(
    testSpec({
      space: smallSpace,
      evaluator: { kind: 'command', command },
      budget: { trials: 12 },
      batch: 12,
    }),
  );
  await bench.studies.settled(id);
  const { record, failed, infeasible } = await bench.studies.show(id);
  t.match([record.state, failed, infeasible], ['failed', 12, 0]);
  t.match(record.reason, /^EVALUATION_FAILED: .*12 EVALUATION_FAILED.*no module torch/);
  for (const metrics of [['latencyUs'], ['accuracy', 'cycles@fake-0'], ['macs']])
    await t.rejects(
      bench.studies.create(testSpec({ space: smallSpace, evaluator: { kind: 'external', metrics } })),
      { code: 'SPEC_INVALID', message: /measured or counted/ },
    );
});

t.test('kill -9 between what is told and what comes of it loses and doubles nothing', async (t) => {
  const dir = await temporaryFolder(t);
  const child = new URL('./told-child.js', import.meta.url).pathname;
  const spec = testSpec({
    space: smallSpace,
    evaluator: { kind: 'external' },
    budget: { trials: 12 },
    batch: 4,
  });
  /** By trial: what was told and acknowledged. */
  const acknowledged = new Map<number, number>();
  for (let round = 0, done = false; !done && round < 40; round++) {
    const run = spawn(process.execPath, [child, dir, JSON.stringify(spec)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = new Promise<number | null>((resolve) => run.once('close', resolve));
    let lines = 0;
    for await (const line of createInterface({ input: run.stdout })) {
      const { number, accuracy } = JSON.parse(line) as { number: number; accuracy: number };
      const known = acknowledged.get(number);
      if (known !== undefined) t.equal(known, accuracy, `trial ${number} keeps its value`);
      acknowledged.set(number, accuracy);
      if (++lines === 1 + (round % 3)) setTimeout(() => run.kill('SIGKILL'), (round * 3) % 20);
    }
    done = (await ended) === 0;
  }
  const bench = await openBench(dir);
  t.teardown(() => bench.close());
  const [study] = await bench.studies.list();
  t.equal(study?.state, 'completed', study?.reason ?? '');
  const trials = await bench.store.trials(study!.id);
  t.equal(trials.length, 12);
  for (const [number, accuracy] of acknowledged) t.equal(trials[number]?.values.accuracy, accuracy);
});

t.test('lanes are taken in turn, and work that throws ends the rest', async (t) => {
  const lanes = new Lanes(1);
  const order: string[] = [];
  const work = new Map<number, (lane: { leave(): void }, signal: AbortSignal) => Promise<boolean>>();
  const crew = new Crew({ lanes, signal, work: ({ number }, both, lane) => work.get(number)!(lane, both) });
  let train: (() => void) | undefined;
  work.set(0, async (lane) => {
    lane.leave();
    lane.leave();
    await new Promise<void>((resolve) => {
      train = resolve;
    });
    order.push('0');
    return false;
  });
  work.set(1, async () => order.push('1') === 0);
  work.set(2, async () => {
    train?.();
    return true;
  });
  for (const number of work.keys()) crew.start({ number } as TrialRecord);
  await crew.ended();
  t.same(order, ['1', '0']);
  t.same(numbers(crew.takeHeld()), [2]);
  work.set(3, async () => Promise.reject(new Error('broken')));
  work.set(4, async (_, both) => !both.aborted);
  crew.start({ number: 3 } as TrialRecord);
  crew.start({ number: 4 } as TrialRecord);
  await t.rejects(crew.ended(), { message: 'broken' });
  t.same(crew.takeHeld(), []);
});

t.test('decisions: numbers in order are ordinal or integer, all others categorical', async (t) => {
  const of = (name: string) => decisionsOf(loadSpace(findSpace(name, profilesDir)));
  t.match(of('mcuformer-tiny')?.slice(0, 3), [
    { kind: 'integer', low: 16, high: 32, step: 4 },
    { kind: 'integer', low: 168, high: 216, step: 24 },
    { kind: 'ordinal', low: 0.4, high: 0.95, log: false },
  ]);
  t.match(of('yfork-mini')?.[0], { kind: 'integer', low: 1, high: 3, step: 1 });
  t.match(
    of('hourglass-mlp')?.find(({ name }) => /bottleneck/.test(name)),
    { kind: 'ordinal', low: 16, high: 64, log: true },
  );
  t.ok(of('nasbench201')?.every(({ kind }) => kind === 'categorical'));
  t.equal(of('einspace-mini'), undefined, 'a grammar has no list');
  const [stride2, same] = of('mbconv-fmnist')!.slice(1, 3);
  t.match(stride2, {
    kind: 'categorical',
    factors: {
      decisions: [
        { kind: 'integer', low: 3, high: 7, step: 2 },
        { kind: 'ordinal', choices: [1, 3, 6] },
      ],
    },
  });
  t.same(same?.factors?.decisions[1]?.choices, [0, 1, 3, 6], 'an expansion of 0 leaves the layer out');
  for (const { choices, factors } of [stride2!, same!])
    factors!.choiceAt.forEach((choice, i) => {
      const [kernels, expansions] = factors!.decisions.map((one) => one.choices);
      const [kernel, expansion] = [
        kernels![Math.floor(i / expansions!.length)],
        expansions![i % expansions!.length],
      ];
      t.equal(choices[choice], expansion === 0 ? 'skip' : `k${kernel}e${expansion}`);
    });
  const orders = {
    up: [1, 2, 4, 8],
    even: [1, 3, 5],
    down: [4, 2, 1],
    mixed: [1, 3, 2],
    share: [0.25, 0.5, 0.75],
    one: [3],
  };
  const dims = Object.entries(orders).map(([name, choices]) => ({ name, choices }));
  t.match(decisionsOf({ dims }), [
    { kind: 'ordinal', log: true },
    { kind: 'integer', step: 2 },
    { kind: 'ordinal', low: 1, high: 4 },
    { kind: 'categorical' },
    { kind: 'ordinal', log: false },
    { kind: 'categorical' },
  ]);
});
