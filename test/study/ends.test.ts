import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ManualClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import type { StudyId } from '../../daemon/core/ids.js';
import type { Target } from '../../daemon/core/target.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import {
  type DeviceRecord,
  type Store,
  type StudyRecord,
  type TrialRecord,
  trialStates,
} from '../../daemon/store/contract.js';
import { checkMetrics } from '../../daemon/study/check-metrics.js';
import { frontMembers, frontsOf } from '../../daemon/study/front-rows.js';
import { LateStates } from '../../daemon/study/late-states.js';
import { parseStudySpec } from '../../daemon/study/spec.js';
import { Standing } from '../../daemon/study/standing.js';
import { openBench, smallSpace, smallSpec, testSpec } from './bench.js';

const folder = async (t: Test): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-ends-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  return dir;
};

const device = (id: string, target: Partial<Target>): DeviceRecord =>
  ({ id, state: 'adopted', target: { runtime: 'hilda-firmware', dtype: 'int8', ...target } }) as DeviceRecord;

const host = device('cpu', { runtime: 'onnxruntime', tier: 'host', dtype: 'float32' });
const pico = device('pico', { tier: 'rp2040js' });
const qemu = device('qemu', { tier: 'qemu' });
const board = device('board', { tier: 'board' });
const tiny = device('tiny', { runtime: 'mlperf-tiny', tier: 'board' });
const counting = device('counting', { runtime: 'fake', tier: 'emulated' });
const other = device('other', { runtime: 'of a plug-in', tier: 'any' });

t.test('a metric that nothing of the study yields is refused at the start', async (t) => {
  const float = { metrics: ['accuracy'] };
  const deployed = { ...float, deployed: async () => ({ values: {}, source: '' }) };
  const refusal = (devices: DeviceRecord[], metric: string, evaluator: typeof float = float) => {
    for (const objectives of [[{ metric, goal: 'min' }], [{ metric: 'macs', goal: 'min' }]])
      try {
        const spec = parseStudySpec(
          testSpec({
            devices: devices.map(({ id }) => id),
            objectives,
            constraints: [{ metric, max: 1 }],
          }),
        );
        checkMetrics(spec, evaluator, devices);
      } catch (thrown) {
        t.equal((thrown as HildaError).code, 'SPEC_INVALID');
        return thrown as HildaError;
      }
    return undefined;
  };
  for (const [devices, metric] of [
    [[host], 'latencyUs'],
    [[host], 'peakBytes'],
    [[host, pico], 'cycles@pico'],
    [[qemu], 'instructions'],
    [[board], 'latencyUs'],
    [[board], 'cycles'],
    [[tiny], 'latencyUs'],
    [[pico], 'flashBytes'],
    [[other], 'instructions'],
    [[counting], 'cycles'],
    [[host], 'parameters'],
  ] as const)
    t.equal(refusal([...devices], metric), undefined, `${devices.map(({ id }) => id)} ${metric}`);
  for (const [devices, metric] of [
    [[pico], 'latencyUs'],
    [[pico], 'instructions'],
    [[qemu], 'cycles'],
    [[host], 'cycles'],
    [[host], 'peakRamBytes'],
    [[host, pico], 'latencyUs@pico'],
    [[tiny], 'cycles'],
    [[counting], 'latencyUs'],
    [[host], 'params'],
    [[host], 'latencyMs'],
    [[host], 'flash'],
    [[host, pico], 'accuracy@pico'],
    [[host], 'floatAccuracy'],
    [[host], 'toString'],
  ] as const)
    t.ok(refusal([...devices], metric), `${devices.map(({ id }) => id)} ${metric}`);
  t.equal(refusal([host, pico], 'accuracy@pico', deployed), undefined, 'the evaluator has examples to show');
  t.match(refusal([pico], 'cycels')?.hint, /Did you mean cycles\?/);
  t.equal(refusal([host], 'f1', { metrics: ['accuracy', 'f1'] }), undefined);
  t.throws(() => parseStudySpec(testSpec({ constraints: [{ metric: 'accuracy', max: 91.5 }] })), {
    code: 'SPEC_INVALID',
  });

  const dir = await folder(t);
  const bench = await openBench(dir);
  t.teardown(() => bench.close());
  for (const changes of [
    { constraints: [{ metric: 'cycles', max: 5 }] },
    { constraints: [{ metric: 'params', max: 5 }] },
    { objectives: [{ metric: 'f1', goal: 'max' }] },
  ])
    await t.rejects(bench.studies.create(await smallSpec(dir, changes)), { code: 'SPEC_INVALID' });
  t.same(await bench.studies.list(), [], 'nothing is stored of them');
});

t.test('each device has its own accuracy in its table, and no other', async (t) => {
  const spec = parseStudySpec(
    testSpec({
      space: smallSpace,
      devices: ['pico', 'm7', 'cpu'],
      objectives: [
        { metric: 'accuracy', goal: 'max' },
        { metric: 'cycles', goal: 'min' },
        { metric: 'instructions@m7', goal: 'min' },
        { metric: 'latencyUs@cpu', goal: 'min' },
      ].slice(0, 3),
    }),
  );
  const trial = (values: Record<string, number>) =>
    ({ number: 0, state: 'complete', architecture: [0, 0], values, evidence: {}, measurements: {} }) as never;
  const costs = { cycles: 5, 'instructions@m7': 6, 'latencyUs@cpu': 7 };
  const columnsOf = async (some: Record<string, number>) => {
    const values = { ...costs, ...some };
    const trials: TrialRecord[] = [trial(values)];
    const store = {
      trials: async () => trials,
      answers: async () => new Map(),
      measurementsById: async () => new Map(),
    } as unknown as Store;
    const standing = new Standing(spec);
    standing.add({
      from: 0,
      length: 1,
      states: Uint8Array.of(trialStates.indexOf('complete')),
      told: Uint8Array.of(1),
      values: new Map(Object.entries(values).map(([metric, value]) => [metric, Float64Array.of(value)])),
    });
    const members = await frontMembers('study-1' as StudyId, standing, store);
    const { devices } = await frontsOf(members, { spec, space: loadSpace(smallSpace), store });
    return devices.map(({ front }) =>
      Object.entries(front[0]?.values ?? {})
        .filter(([metric]) => /accuracy/i.test(metric))
        .sort(),
    );
  };
  t.same(
    await columnsOf({ accuracy: 0.81, floatAccuracy: 0.9, 'accuracy@m7': 0.82 }),
    [
      [
        ['accuracy', 0.81],
        ['floatAccuracy', 0.9],
      ],
      [
        ['accuracy@m7', 0.82],
        ['floatAccuracy', 0.9],
      ],
      [['floatAccuracy', 0.9]],
    ],
    "the first device's int8 accuracy is nobody else's",
  );
  t.same(
    await columnsOf({ accuracy: 0.9 }),
    Array(3).fill([['accuracy', 0.9]]),
    "the network's own is all's",
  );
});

t.test('a state that could not be written is known at once, and written once there is room', async (t) => {
  const dir = await folder(t);
  let isFull = false;
  const around = (store: Store): Store =>
    new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name);
        if (typeof value !== 'function') return value;
        if (isFull && (name === 'setStudyState' || name === 'finishTrial' || name === 'tellTrials'))
          return async () => {
            throw new HildaError('DISK_FULL', 'COMMIT; - SQLITE_FULL: database or disk is full');
          };
        return value.bind(target);
      },
    });
  const bench = await openBench(dir, { delayMs: 5 }, undefined, around);
  t.teardown(() => bench.close());
  const { store, studies } = bench;
  const { id } = await studies.create(await smallSpec(dir, { budget: { trials: 12 }, batch: 3 }));
  isFull = true;
  await studies.settled(id);
  t.match((await studies.show(id)).record, { state: 'failed', reason: /^DISK_FULL/ }, 'it runs no more');
  t.match(await studies.list(), [{ state: 'failed' }]);
  t.equal((await store.study(id)).state, 'running', 'though its row still says so');
  isFull = false;
  // By itself, within seconds.
  while ((await store.study(id)).state !== 'failed') await bench.clock.sleep(50);
  t.match((await studies.show(id)).record, { state: 'failed', reason: /^DISK_FULL/ });

  t.equal((await studies.resume(id)).state, 'running');
  isFull = true;
  await studies.settled(id);
  isFull = false;
  t.equal((await studies.resume(id)).state, 'running', 'resumed before its end was written');
  await studies.settled(id);
  t.equal((await store.study(id)).state, 'completed');
  t.equal((await store.trials(id)).filter(({ state }) => state === 'complete').length, 12);
});

t.test('a late state gives way to a newer one, and ends with the daemon', async (t) => {
  const clock = new ManualClock();
  const written: string[] = [];
  const told: string[] = [];
  let isFull = true;
  const late = new LateStates({
    store: {
      setStudyState: async (id, state, reason) => {
        if (isFull) throw new HildaError('DISK_FULL', 'full');
        written.push(`${id} ${state} ${reason}`);
        return {} as StudyRecord;
      },
    },
    clock,
    onError: ({ code }) => told.push(code),
  });
  const [first, second] = ['study-1', 'study-2'] as StudyId[] as [StudyId, StudyId];
  const row = { id: first, state: 'running', reason: null } as StudyRecord;
  await late.write(first, { state: 'failed', reason: 'x' });
  await late.write(first, { state: 'completed', reason: null });
  await late.write(second, { state: 'failed', reason: 'y' });
  t.same(told, ['DISK_FULL', 'DISK_FULL', 'DISK_FULL'], 'said once for each');
  t.match(late.known(row), { state: 'completed', reason: null });
  isFull = false;
  late.forget(second);
  await clock.advance(5000);
  await new Promise((resolve) => setImmediate(resolve));
  t.same(written, ['study-1 completed null']);
  t.match(late.known(row), { state: 'running' }, 'the row counts again');
  isFull = true;
  await late.write(first, { state: 'failed', reason: 'z' });
  await late.close();
  isFull = false;
  await clock.advance(60_000);
  t.equal(written.length, 1);
});
