import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Architecture, architectureId } from '../../daemon/core/architecture.js';
import type { Answers } from '../../daemon/core/evidence.js';
import type { StudyId } from '../../daemon/core/ids.js';
import type { Json } from '../../daemon/core/json.js';
import type { Fault } from '../../daemon/devices/fake/device.js';
import { countedAccuracy } from '../../daemon/evaluate/evidence.js';
import { type BankSample, PredictorBank } from '../../daemon/predict/bank.js';
import type { Store, TrialRecord } from '../../daemon/store/contract.js';
import { ExactSamples } from '../../daemon/study/exactness.js';
import { fruitless } from '../../daemon/study/fruitless.js';
import { parseStudySpec } from '../../daemon/study/spec.js';
import { leadOf } from '../../daemon/study/winner.js';
import { type Bench, openBench, smallSpec } from './bench.js';

async function bench(
  t: Test,
  ...given: Parameters<typeof openBench> extends [string, ...infer Rest] ? Rest : never
) {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-intervals-'));
  const opened = await openBench(dir, ...given);
  t.teardown(async () => {
    await opened.close();
    await rm(dir, { recursive: true, force: true });
  });
  return { dir, ...opened };
}

/** A study whose trials are what the test says they are: nothing runs. */
async function storedStudy({ store }: Bench, spec: object): Promise<StudyId> {
  const parsed = parseStudySpec(spec) as unknown as Json;
  return (await store.createStudy({ name: 'stored', spec: parsed, sampler: null, rng: [1, 2, 3, 4] })).id;
}

interface Told {
  readonly values: Record<string, number>;
  readonly float?: Uint8Array;
  readonly own?: Uint8Array;
}

async function addTrial({ store }: Bench, id: StudyId, number: number, { values, float, own }: Told) {
  const architecture = [Math.floor(number / 9), number % 9];
  const asked = {
    architectureId: architectureId('two-layers', architecture),
    architecture,
    note: '',
    predicted: {},
  };
  await store.askTrials(id, [asked], { sampler: null, rng: [1, 2, 3, 4] });
  const where = { set: 'the images', source: 'fashion-mnist' };
  const scored = float && countedAccuracy(own ? { float, own } : { float }, where);
  const plain = float && countedAccuracy({ float }, where);
  const answers: Record<string, Answers> = {
    ...(plain?.answers && { floatAccuracy: plain.answers.accuracy as Answers }),
    ...(own && scored?.answers && { accuracy: scored.answers.accuracy as Answers }),
  };
  await store.finishTrial({
    studyId: id,
    number,
    state: 'complete',
    values: { ...values, ...scored?.values, ...(own && { floatAccuracy: plain?.values.accuracy ?? 0 }) },
    evidence: { ...scored?.evidence },
    answers,
    reason: null,
  });
}

/** Wrong on these images, right on all others. */
const wrongOn = (n: number, ...images: readonly number[]): Uint8Array => {
  const right = new Uint8Array(n).fill(1);
  for (const i of images) right[i] = 0;
  return right;
};
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

t.test('a front says which members cannot be told from their neighbours, image by image', async (t) => {
  const opened = await bench(t);
  const spec = {
    ...(await smallSpec(opened.dir, {})),
    objectives: [
      { metric: 'accuracy', goal: 'max' },
      { metric: 'macs', goal: 'min' },
    ],
  };
  const id = await storedStudy(opened, spec);
  // 93 %, 89 % and 60 % of 100 images.
  await addTrial(opened, id, 0, {
    values: { macs: 300, latencyUs: 30 },
    float: wrongOn(100, ...range(0, 7)),
  });
  await addTrial(opened, id, 1, {
    values: { macs: 200, latencyUs: 20 },
    float: wrongOn(100, ...range(5, 16)),
  });
  await addTrial(opened, id, 2, {
    values: { macs: 100, latencyUs: 10 },
    float: wrongOn(100, ...range(30, 70)),
  });
  const { front } = await opened.studies.fronts(id);
  t.same(
    front.map(({ trialNumber, values }) => [trialNumber, values.accuracy]),
    [
      [0, 0.93],
      [1, 0.89],
      [2, 0.6],
    ],
  );
  const told = front.map(({ beside }) =>
    beside.map(({ metric, trialNumber, basis, apart }) => [metric, trialNumber, basis, apart]),
  );
  t.same(told, [
    [['accuracy', 1, 'paired', false]],
    [
      ['accuracy', 0, 'paired', false],
      ['accuracy', 2, 'paired', true],
    ],
    [['accuracy', 1, 'paired', true]],
  ]);
  // Bonett and Price with 9 and 5 images that only one of the two got right.
  const [first] = front[0]!.beside;
  const [p, q] = [10 / 102, 6 / 102];
  const half = 1.959964 * Math.sqrt((p + q - (p - q) ** 2) / 102);
  t.ok(Math.abs(first!.difference - 0.04) < 1e-12);
  t.ok(Math.abs(first!.ci[0] - (p - q - half)) < 1e-6 && Math.abs(first!.ci[1] - (p - q + half)) < 1e-6);

  const [pair] = await opened.studies.compare(id, [0, 2]);
  t.match(pair, { metric: 'accuracy', trialNumber: 2, basis: 'paired', apart: true });
  await t.rejects(opened.studies.compare(id, [0, 77]), { code: 'NOT_FOUND' });
});

t.test('int8 on 25 images: 93 % beside 89 % is no gain; on all images it is one', async (t) => {
  const opened = await bench(t);
  const spec = await smallSpec(opened.dir, {});
  const accuracies = async (own: (network: 0 | 1) => Uint8Array) => {
    const id = await storedStudy(opened, spec);
    for (const network of [0, 1] as const)
      await addTrial(opened, id, network, {
        values: { latencyUs: 100 - network, macs: 1 },
        float: wrongOn(1000, ...range(0, 100)),
        own: own(network),
      });
    const { front } = await opened.studies.fronts(id);
    return front.map(({ values, evidence, beside }) => ({
      accuracy: values.accuracy as number,
      width: evidence.accuracy!.ci![1] - evidence.accuracy!.ci![0],
      compared: evidence.accuracy!.compared,
      ...beside.find(({ metric }) => metric === 'accuracy'),
    }));
  };
  // On images 100 to 124 of a set whose first 100 are hard: float is 0 of 25 there, int8 gains one or none of them.
  const few = await accuracies((network) => wrongOn(25, ...range(network === 0 ? 1 : 0, 25)));
  t.ok(Math.abs(few[0]!.accuracy - few[1]!.accuracy - 0.04) < 1e-9, 'as far apart as 93 % and 89 %');
  t.same(
    few.map(({ apart, basis, compared }) => [apart, basis, compared]),
    Array(2).fill([false, 'paired', 25]),
  );
  const all = await accuracies((network) => wrongOn(1000, ...range(network === 0 ? 40 : 0, 100)));
  t.ok(Math.abs(all[0]!.accuracy - all[1]!.accuracy - 0.04) < 1e-9);
  t.ok(all.every(({ apart }) => apart));
  t.ok(few[0]!.width > 4 * all[0]!.width, 'the few images make the interval wide');
});

t.test('values from a table have no interval and say whose they are; latencies have theirs', async (t) => {
  const opened = await bench(t);
  const { id } = await opened.studies.create(await smallSpec(opened.dir, {}));
  await opened.studies.settled(id);
  const { front } = await opened.studies.fronts(id);
  t.ok(front.length > 2);
  for (const { evidence, beside } of front) {
    t.same(evidence.accuracy, { ci: null, images: null, compared: null, source: 'imported: a formula' });
    t.same([...new Set(beside.map(({ metric, basis }) => `${metric} ${basis}`))], ['latencyUs independent']);
  }
  const exported = await opened.studies.exportTrial(id, front[0]!.trialNumber);
  t.match(exported.manifest, { evidence: { accuracy: { source: 'imported: a formula' } } });
});

t.test('a winner says how sure it is of its lead', (t) => {
  t.match(leadOf({ value: 0.93, ci: [0.88, 0.96] }, { value: 0.89, ci: [0.85, 0.92] }), {
    standing: 'not apart',
    basis: 'independent',
  });
  t.equal(leadOf({ value: 0.93, ci: [0.92, 0.94] }, { value: 0.89, ci: [0.88, 0.9] }).standing, 'apart');
  t.same(leadOf({ value: 0.93, ci: null }, { value: 0.89, ci: [0.88, 0.9] }), {
    standing: 'unknown',
    difference: null,
    basis: null,
  });
  t.match(leadOf({ value: 5, ci: undefined }, { value: 6, ci: undefined }), {
    standing: 'apart',
    basis: 'exact',
  });
  t.equal(leadOf({ value: 5, ci: undefined }, { value: 5, ci: undefined }).standing, 'not apart');
  t.end();
});

t.test('a machine on which nothing can be measured fails the study, and says why', async (t) => {
  const always = (fault: Fault): Fault[] => Array.from({ length: 500 }, () => fault);
  const run = async (fault: Fault, budget: number) => {
    const opened = await bench(t, { faults: always(fault) });
    const spec = await smallSpec(opened.dir, { attempts: 2, batch: 5, budget: { trials: budget } });
    const { id } = await opened.studies.create(spec);
    await opened.studies.settled(id);
    return {
      ...opened,
      id,
      trials: (await opened.store.trials(id)).length,
      study: await opened.store.study(id),
    };
  };
  const busy = await run('contended', 40);
  t.equal(busy.study.state, 'failed');
  t.match(
    busy.study.reason,
    /^MEASUREMENT_INVALID: no measurement of 10 trials is valid: 10 contended; most often: .*rounds rejected/,
  );
  t.equal(busy.trials, 10, 'it does not go on for hours');
  await busy.studies.resume(busy.id);
  await busy.studies.settled(busy.id);
  t.match(
    (await busy.store.study(busy.id)).reason,
    /no measurement of 20 trials/,
    'another try, as it was asked for',
  );

  const few = await run('drift', 3);
  t.match(few.study.reason, /^MEASUREMENT_INVALID: no measurement of 3 trials is valid: 3 (drifted|noisy)/);
});

t.test('a study that says something of its space is not taken for a fault', (t) => {
  const spec = parseStudySpec({
    name: 'x',
    space: 'mbconv-fmnist',
    devices: ['fake-0'],
    budget: { trials: 30 },
  });
  const trial = (number: number, more: Partial<TrialRecord>): TrialRecord =>
    ({ number, values: { macs: 1 }, reason: null, ...more }) as TrialRecord;
  const failed = (n: number, reason = 'MEASUREMENT_INVALID: noisy after 3 attempts: why') =>
    Array.from({ length: n }, (_, i) => trial(i, { state: 'failed', reason }));
  const judge = (trials: readonly TrialRecord[], isOver: boolean, since = 0) =>
    fruitless(trials, spec, { since, isOver })?.message;
  t.match(judge(failed(10), false), /10 noisy/);
  t.equal(judge(failed(9), false), undefined, 'it may get better');
  t.equal(judge(failed(12), false, 5), undefined, 'seven since it was resumed');
  t.match(judge(failed(1), true), /no measurement of 1 trials/);
  const reference = failed(10, 'DEVICE_FAILED: the reference network did not run');
  t.match(judge(reference, false), /10 DEVICE_FAILED; most often: .*reference/);
  const slow = trial(50, {
    state: 'infeasible',
    values: { macs: 1, latencyUs: 9 },
    reason: 'latencyUs 9 > 5',
  });
  t.equal(judge([...failed(20), slow], true), undefined, 'one was measured');
  t.equal(
    judge([trial(0, { state: 'infeasible', reason: 'macs 9 > 5' })], true),
    undefined,
    'a limit is an answer',
  );
  t.equal(judge([], true), undefined);
  const unrun = (n: number) => trial(n, { state: 'infeasible', reason: 'OPERATOR_UNSUPPORTED: Gelu' });
  t.equal(judge([unrun(0), unrun(1), trial(2, { state: 'complete' })], true), undefined);
  t.match(judge([unrun(0), unrun(1)], true), /none of 2 trials came to its end: 2 OPERATOR_UNSUPPORTED/);
  const crashed = trial(0, {
    state: 'failed',
    values: { latencyUs: 9 },
    reason: 'EVALUATION_FAILED: /bin/sh failed: out of memory',
  });
  t.match(
    judge([crashed], true),
    /the evaluator gave no value for any of 1 trials: 1 EVALUATION_FAILED; most often: .*out of memory/,
    'the evaluator crashed each time, for every network',
  );
  t.equal(fruitless([crashed], spec, { since: 0, isOver: true })?.code, 'EVALUATION_FAILED');
  const often = [...failed(3, 'DEVICE_FAILED: the frequent one'), ...failed(2, 'ADB_FAILED: the last one')];
  t.match(judge(often, true), /3 DEVICE_FAILED, 2 ADB_FAILED; most often: .*the frequent one$/);
  t.end();
});

t.test(
  'a study tells its predictors how exactly each trial was measured, and reads each measurement once',
  async (t) => {
    const dir = await mkdtemp(join(tmpdir(), 'hilda-exact-'));
    t.teardown(() => rm(dir, { recursive: true, force: true }));
    const spec = parseStudySpec(await smallSpec(dir, { devices: ['board:a', 'board:b'] }));
    const heard: (readonly BankSample[])[] = [];
    const learntOf = new Set<string>();
    const features = (a: Architecture) => new Map((a as number[]).map((v, i) => [`${i}=${v}`, 1]));
    const bank = new (class extends PredictorBank {
      override refit(history: readonly BankSample[]): void {
        heard.push(history);
      }
      override learntFrom<S extends BankSample>(metric: string, history: readonly S[]): S[] {
        learntOf.add(metric);
        return super.learntFrom(metric, history);
      }
    })({ costViews: (a) => ({ all: features(a) }), decisionFeatures: features, kindOf: () => 'cost' });
    const asked: string[] = [];
    const measurementsById = async (ids: readonly string[]) => {
      asked.push(...ids);
      return new Map(
        ids.map((id) => {
          const [deviceId, number] = id.split(' ') as [string, string];
          const normalisedCiUs = [
            100 * Math.exp(-0.0196 * (1 + Number(number))),
            100 * Math.exp(0.0196 * (1 + Number(number))),
          ];
          return [
            id,
            {
              id,
              deviceId,
              latency: { normalisedUs: 100, normalisedCiUs },
              counts: null,
              memory: { peakBytes: null },
            },
          ];
        }),
      );
    };
    const samples = new ExactSamples(spec, { measurementsById } as unknown as Store);
    const trial = (number: number, devices: readonly string[]): TrialRecord =>
      ({
        number,
        state: 'complete',
        architectureId: `${number}`,
        architecture: [Math.floor(number / 9), number % 9],
        values: Object.fromEntries(
          devices.map((device) => [device === 'board:a' ? 'latencyUs' : `latencyUs@${device}`, 100 + number]),
        ),
        measurements: Object.fromEntries(devices.map((device) => [device, `${device} ${number}`])),
      }) as unknown as TrialRecord;
    const both = ['board:a', 'board:b'];
    const few = Array.from({ length: 9 }, (_, i) => trial(i, both));
    await samples.refit(bank, few);
    t.same(asked, [], 'nothing is learnt from nine trials');
    const trials = Array.from({ length: 12 }, (_, i) => trial(i, i === 3 ? ['board:a'] : both));
    await samples.refit(bank, trials);
    await samples.refit(bank, trials);
    t.equal(new Set(asked).size, asked.length, 'none is read twice');
    const wanted = [...spec.objectives, ...spec.constraints].map(({ metric }) => metric);
    t.ok(
      [...learntOf].every((metric) => wanted.includes(metric)),
      'of costs that are predicted alone',
    );
    t.ok(learntOf.has('latencyUs'));
    const learnt = heard.at(-1)?.filter(({ deviations }) => deviations) as BankSample[];
    t.ok(learnt.length >= 10);
    for (const [i, { deviations }] of heard.at(-1)?.entries() ?? []) {
      if (!deviations) continue;
      t.same(Object.keys(deviations), i === 3 ? ['latencyUs'] : ['latencyUs', 'latencyUs@board:b']);
      t.ok(Math.abs((deviations.latencyUs ?? 0) - 0.01 * (1 + i)) < 1e-9, `${i}`);
    }
    // A device that was away has caught up.
    await samples.refit(
      bank,
      trials.map((one, i) => (i === 3 ? trial(3, both) : one)),
    );
    t.same(Object.keys(heard.at(-1)?.[3]?.deviations ?? {}), ['latencyUs', 'latencyUs@board:b']);
  },
);
