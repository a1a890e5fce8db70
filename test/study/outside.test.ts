import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { systemClock } from '../../daemon/core/clock.js';
import { FakeDriver, type FakeDriverOptions } from '../../daemon/devices/fake/driver.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { Daemon } from '../../daemon/process/daemon.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { runCommand } from '../cli/run-command.js';
import { ownerFetch } from '../owner-fetch.js';
import { smallSpace, smallSpec, testSpec } from './bench.js';
import { LeavingDriver } from './leaving-driver.js';

const example = (name: string): string =>
  fileURLToPath(new URL(`../../../docs/examples/${name}`, import.meta.url));
/** Debian's, whose packages another python3 on the path would not see. CI installs Optuna and forbids the skip. */
const python = '/usr/bin/python3';
const noOptuna =
  spawnSync(python, ['-c', 'import optuna']).status !== 0 && !process.env.CI
    ? 'python3-optuna is not installed'
    : false;
const noPython = spawnSync('python3', ['--version']).status !== 0 && !process.env.CI ? 'no python3' : false;
t.setTimeout(900_000);

/** A whole daemon with three fake devices, each fast at something else. */
async function openDaemon(
  t: Test,
  { faults = [] }: Pick<FakeDriverOptions, 'faults'> = {},
  leaving?: LeavingDriver,
): Promise<{ url: string; dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-outside-'));
  const ids = leaving ? ['fake-0', 'fake-1'] : ['fake-0', 'fake-1', 'fake-2'];
  const drivers = [
    leaving ??
      new FakeDriver({
        ids,
        faults,
        ratesOf: {
          // Slow at arithmetic, slow at memory, slow at starting operators.
          'fake-0': { macsPerUs: 200, bytesPerUs: 1e5, operatorUs: 0.1 },
          'fake-1': { macsPerUs: 1e5, bytesPerUs: 300, operatorUs: 0.1 },
          'fake-2': { macsPerUs: 1e5, bytesPerUs: 1e5, operatorUs: 60 },
        },
      }),
  ];
  const daemon = new Daemon({ dataDir: dir, port: 0, clock: systemClock, drivers });
  const url = await daemon.start(new AbortController().signal);
  t.teardown(async () => {
    await daemon.stop();
    await rm(dir, { recursive: true, force: true });
  });
  for (const id of ids) await request(url, `/devices/${id}/adopt`, {});
  return { url, dir };
}

// biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, asserted on.
async function request(url: string, path: string, body?: unknown): Promise<any> {
  const response = await ownerFetch(`${url}/v1${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    ...(body !== undefined && {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }),
  });
  return response.json();
}

async function run(
  command: string,
  args: readonly string[],
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (data) => {
    out += data;
  });
  child.stderr.on('data', (data) => {
    err += data;
  });
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, out, err })));
}

t.test(
  'a script in another language searches: it proposes, the study measures, it hears the results',
  async (t) => {
    const space = loadSpace(smallSpace);
    const sizes = JSON.stringify(space.dims?.map(({ choices }) => choices.length));
    const { url, dir } = await openDaemon(t);
    const spec = await smallSpec(dir, { sampler: { name: 'external' }, budget: { trials: 12 }, batch: 4 });
    const study = await request(url, '/studies', spec);
    t.equal(study.state, 'running', JSON.stringify(study));

    const refused = await request(url, `/studies/${study.id}/ask`, { proposals: [{ architecture: [99] }] });
    t.equal(refused.code, 'ARCHITECTURE_INVALID');
    const first = space.seeds?.()[0];
    const proposals = [{ architecture: first, note: 'smallest' }, { architecture: first }];
    const asked = await request(url, `/studies/${study.id}/ask`, { proposals });
    t.equal(asked.trials.length, 1, 'one architecture, one trial');
    t.equal(asked.trials[0].note, 'smallest');
    const told = await request(url, `/studies/${study.id}/tell`, { numbers: [0] });
    t.equal(told.trials[0].state, 'complete', JSON.stringify(told));
    t.ok(told.trials[0].values.latencyUs > 0, 'measured here');
    const again = await request(url, `/studies/${study.id}/ask`, { proposals });
    t.same(
      again.trials.map((x: { number: number }) => x.number),
      [0],
      'what is known is answered, not run again',
    );
    t.equal(
      (await request(url, `/studies/${study.id}/tell`, { results: [{ number: 0, values: { accuracy: 1 } }] }))
        .code,
      'STATE_CONFLICT',
    );

    if (spawnSync('python3', ['--version']).status !== 0) {
      t.comment('python3 is not installed: the script was not run');
      return;
    }
    const ended = await run('python3', [example('outside.py'), `${url}/v1/studies/${study.id}`, sizes]);
    t.equal(ended.code, 0, ended.err);
    const summary = await request(url, `/studies/${study.id}`);
    t.equal(summary.record.state, 'completed');
    t.equal(summary.told, 12);
    const { trials } = await request(url, `/studies/${study.id}/trials`);
    const best = Math.max(...trials.map((x: { values: { accuracy?: number } }) => x.values.accuracy ?? 0));
    t.equal(JSON.parse(ended.out).accuracy, best, 'it knows the best of all trials');
    t.match(
      await request(url, `/studies/${study.id}/ask`, { proposals }),
      { state: 'completed', trials: [] },
      'over',
    );
  },
);

const accuracyAlone = [{ metric: 'accuracy', goal: 'max' }];
const withLatency = [...accuracyAlone, { metric: 'latencyUs', goal: 'min' }];
const optunaStudies = [
  { sampler: 'TPESampler', options: { n_startup_trials: 8, seed: 1 }, objectives: accuracyAlone },
  { sampler: 'NSGAIISampler', options: { population_size: 8, seed: 1 }, objectives: withLatency },
  {
    sampler: 'CmaEsSampler',
    options: { seed: 1, warn_independent_sampling: false },
    objectives: accuracyAlone,
  },
];
const names = { complete: 'COMPLETE', infeasible: 'PRUNED', failed: 'FAIL' };
interface Searched {
  readonly ended: string;
  readonly states: readonly string[];
  readonly front: readonly (readonly number[])[];
}
const runOptuna = async (t: Test, ...args: readonly string[]): Promise<Searched> => {
  const ended = await run(python, [example('outside_optuna.py'), ...args]);
  t.equal(ended.code, 0, ended.err);
  return JSON.parse(ended.out) as Searched;
};

for (const { sampler, options, objectives } of optunaStudies) {
  t.test(`Optuna's ${sampler} searches`, { skip: noOptuna }, async (t) => {
    const { url, dir } = await openDaemon(t, { faults: [null, null, null, null, null, 'contended'] });
    const spec = await smallSpec(dir, {
      sampler: { name: 'external' },
      objectives,
      constraints: [{ metric: 'latencyUs', max: 900 }],
      budget: { trials: 18 },
      attempts: 1,
    });
    const { id } = await request(url, '/studies', spec);
    const address = `${url}/v1/studies/${id}`;
    const { ended, states, front } = await runOptuna(
      t,
      address,
      sampler,
      JSON.stringify(options),
      '--parallel',
      '3',
    );
    const summary = await request(url, `/studies/${id}`);
    // A sampler that converges proposes what is known for ever, and the script ends before the study
    // does. When that happens depends on the order in which results arrive.
    if (summary.record.state === 'completed') t.equal(summary.told, 18);
    else t.ok(summary.told > 8 && ended === 'the sampler proposes nothing new', `${summary.told}: ${ended}`);
    for (const [state, name] of Object.entries(names)) {
      const told = states.filter((one) => one === name).length;
      t.ok(summary[state] > 0 && told >= summary[state], `${summary[state]} ${state}, told ${told} times`);
    }
    const known = await request(url, `/studies/${id}/front`);
    const rows = known.front.map(({ values }: { values: Record<string, number> }) =>
      objectives.map(({ metric }) => values[metric]),
    );
    t.same(new Set(front.map(String)), new Set(rows.map(String)), 'its front is the daemon’s');
  });
}

t.test('Optuna knows limits of its own, by how much they are broken', { skip: noOptuna }, async (t) => {
  const { url, dir } = await openDaemon(t);
  const max = 700;
  for (const [sampler, objectives, options] of [
    ['TPESampler', accuracyAlone, { n_startup_trials: 8, seed: 2 }],
    ['NSGAIISampler', withLatency, { population_size: 6, seed: 2 }],
  ] as const) {
    const spec = await smallSpec(dir, { sampler: { name: 'external' }, objectives, budget: { trials: 30 } });
    const { id } = await request(url, '/studies', spec);
    const limits = ['--limits', JSON.stringify({ latencyUs: max })];
    // The numbers of choices, as the script took them before the daemon told decisions.
    const given = [`${url}/v1/studies/${id}`, '[9,9]', sampler, JSON.stringify(options), ...limits];
    const { states, front } = await runOptuna(t, ...given);
    const whole = states.filter((state) => state === 'COMPLETE').length;
    // A measurement that a busy machine voids three times fails its trial; no limit may prune one.
    t.ok(!states.includes('PRUNED') && whole >= 25, `measured whole beyond a soft limit too: ${states}`);
    const { trials } = await request(url, `/studies/${id}/trials`);
    const beyond = trials.filter((x: { values: Record<string, number> }) => x.values.latencyUs! > max);
    t.ok(beyond.length > 0 && beyond.length < 25, `${sampler}: ${beyond.length} of 30 beyond the limit`);
    const allowed = trials.filter((x: { values: Record<string, number> }) => x.values.latencyUs! <= max);
    const best = Math.max(...allowed.map((x: { values: Record<string, number> }) => x.values.accuracy!));
    t.equal(Math.max(...front.map(([accuracy]) => accuracy!)), best, 'its best keeps the limit');
  }
});

t.test('CMA-ES works on kernels and expansions as numbers', { skip: noOptuna }, async (t) => {
  const { url, dir } = await openDaemon(t);
  const spec = await smallSpec(dir, {
    sampler: { name: 'external' },
    objectives: accuracyAlone,
    budget: { trials: 20 },
  });
  const { id } = await request(url, '/studies', spec);
  const { decisions } = await request(url, `/studies/${id}/decisions`);
  t.match(decisions[0].factors.decisions, [{ kind: 'integer' }, { kind: 'ordinal' }]);
  const options = { seed: 1, popsize: 4 };
  const ended = await run(python, [
    example('outside_optuna.py'),
    ...[`${url}/v1/studies/${id}`, 'CmaEsSampler', JSON.stringify(options)],
  ]);
  t.equal(ended.code, 0, ended.err);
  t.notMatch(ended.err, /independent/i, 'no decision is drawn at random instead');
});

t.test('a search by Optuna outlives a device that leaves', { skip: noOptuna }, async (t) => {
  const driver = new LeavingDriver();
  driver.before = (id, count) => {
    if (id === 'fake-1' && count === 4) driver.leave('fake-1');
  };
  const { url, dir } = await openDaemon(t, {}, driver);
  const objectives = [...accuracyAlone, { metric: 'latencyUs@fake-1', goal: 'min' }];
  const spec = await smallSpec(dir, {
    ...{ sampler: { name: 'external' }, objectives, devices: ['fake-0', 'fake-1'] },
    ...{ budget: { trials: 10 }, holdMinutes: 0 },
  });
  const { id } = await request(url, '/studies', spec);
  const { states } = await runOptuna(t, `${url}/v1/studies/${id}`, 'NSGAIISampler', '{"population_size": 4}');
  const summary = await request(url, `/studies/${id}`);
  t.match(summary, { record: { state: 'completed' }, complete: 10 });
  t.equal(new Set(states).size, 2, `${states}: those without a latency are told as failed`);
});

t.test('a trainer in Python trains what a study measured', { skip: noPython }, async (t) => {
  const { url, dir } = await openDaemon(t);
  const spec = testSpec({
    space: smallSpace,
    evaluator: { kind: 'external' },
    budget: { trials: 14 },
    batch: 7,
  });
  const { id } = await request(url, '/studies', spec);
  // What stands in for PyTorch: larger kernels learn more; one training fails, later slow starters are cut off.
  await writeFile(
    join(dir, 'stand_in.py'),
    [
      'calls = []',
      'def train(space, decisions, architecture, report):',
      '    assert space["kind"] == "mbconv" and len(decisions) == len(architecture)',
      '    calls.append(architecture)',
      '    if len(calls) == 2: raise ValueError("the loss is NaN")',
      '    for epoch in (1, 2): report(epoch, 0.5 - 0.01 * len(calls))',
      '    return {"accuracy": {"value": 0.5 + sum(architecture) / 100, "images": 100}}',
    ].join('\n'),
  );
  const trainer = [example('outside_trainer.py'), `${url}/v1/studies/${id}`, '--train', 'stand_in:train'];
  const ended = await run('env', [`PYTHONPATH=${dir}`, 'PYTHONDONTWRITEBYTECODE=1', 'python3', ...trainer]);
  t.equal(ended.code, 0, ended.err);
  const { trials } = await request(url, `/studies/${id}/trials`);
  t.match(trials[1], { state: 'failed', reason: /ValueError: the loss is NaN/, result: { state: 'failed' } });
  t.same(trials[0].intermediateValues, [
    { step: 1, value: 0.49 },
    { step: 2, value: 0.49 },
  ]);
  t.equal(trials[0].evidence.accuracy.images, 100);
  const pruned = trials.filter((x: { result: { state?: string } }) => x.result.state === 'pruned');
  t.ok(pruned.length > 3, `${pruned.length} were below the median of earlier ones`);
  t.match(pruned[0].reason, /pruned: below the median of step 1/);
});

t.test('the Python client', { skip: noPython }, async (t) => {
  const { url, dir } = await openDaemon(t);
  await writeFile(join(dir, 'model.onnx'), writeOnnx(loadSpace(smallSpace).network([0, 0])));
  const spec = testSpec({
    space: smallSpace,
    evaluator: { kind: 'external' },
    budget: { trials: 4 },
    batch: 2,
  });
  await writeFile(join(dir, 'spec.json'), JSON.stringify(spec));
  const script = fileURLToPath(new URL('../../../test/study/client_check.py', import.meta.url));
  const ended = await run('env', ['PYTHONDONTWRITEBYTECODE=1', 'python3', script, url, dir]);
  t.equal(ended.code, 0, ended.err);
  const { trials } = await request(url, '/studies/study-1/trials');
  t.same(
    trials.map((x: { values: { accuracy: number } }) => x.values.accuracy),
    [0.5, 0.51, 0.52, 0.53],
  );
});

t.test('results may come from outside: the study proposes and measures, somebody else scores', async (t) => {
  const { url } = await openDaemon(t);
  const spec = testSpec({
    space: smallSpace,
    evaluator: { kind: 'external' },
    budget: { trials: 6 },
    batch: 3,
  });
  const { id } = await request(url, '/studies', spec);
  t.equal(
    (await request(url, `/studies/${id}/ask`, { proposals: [{ architecture: [0] }] })).code,
    'STATE_CONFLICT',
  );
  for (let state = 'running', round = 0; state === 'running' && round < 20; round++) {
    const asked = await request(url, `/studies/${id}/ask`, { n: 2, waitMs: 5000 });
    if (round === 0) {
      const { number } = asked.trials[0];
      const wrong = await request(url, `/studies/${id}/tell`, {
        results: [{ number, values: { speed: 1 } }],
      });
      t.equal(wrong.code, 'SPEC_INVALID', 'the metric is missing');
      for (const accuracy of [91.5, -1, { value: 91.5, images: 10 }, { value: 0.9, ci: [0.91, 0.95] }]) {
        const results = [{ number, values: { accuracy } }];
        const { code } = await request(url, `/studies/${id}/tell`, { results });
        t.equal(code, 'SPEC_INVALID', `no share of 1, or outside its interval: ${JSON.stringify(accuracy)}`);
      }
    }
    const results = asked.trials.map(({ number }: { number: number }) =>
      number === 1
        ? { number, state: 'failed', reason: 'the loss was NaN' }
        : { number, values: { accuracy: { value: 0.5 + number / 100, images: 100 } } },
    );
    state = (await request(url, `/studies/${id}/tell`, { results })).state;
  }
  const { trials } = await request(url, `/studies/${id}/trials`);
  t.equal(trials.length, 6);
  t.equal(trials[1].state, 'failed');
  t.match(trials[1].reason, /the loss was NaN/);
  t.equal(trials[5].values.accuracy, 0.55);
  const { ci, images, source } = trials[5].evidence.accuracy;
  t.same([images, source], [100, 'reported over HTTP']);
  // Clopper and Pearson's interval of 55 in 100.
  t.ok(Math.abs(ci[0] - 0.4473) < 1e-4 && Math.abs(ci[1] - 0.6497) < 1e-4, `${ci}`);
  const { out } = await runCommand(url, 'search', 'winner', id);
  t.match(out, /^trial 5 of study-1\n[\s\S]*accuracy 55 % \(45 to 65\)/);
  for (const [args, message] of [
    [['--limit', 'latencyMs<=5'], /no front member has the metric latencyMs/],
    [['--limit', 'accuracy>=91.5'], /shares of 1/],
    [['--best', 'acuracy'], /Did you mean accuracy/],
  ] as const) {
    const refused = await runCommand(url, 'search', 'winner', id, ...args);
    t.equal(refused.code, 2, args.join(' '));
    t.match(refused.err, message);
  }
  const { front } = await request(url, `/studies/${id}/front`);
  const numbers: number[] = front.map((row: { trialNumber: number }) => row.trialNumber);
  const next = Math.max(...numbers.filter((number) => number !== 5));
  const rival = `the runner-up, trial ${next} of ${id}, in accuracy: \\+${5 - next} % \\(95 %: -.*by their`;
  t.match(out, new RegExp(`cannot be told from ${rival}`));
});

t.test('split: a study for each sub-space of the shipped example, winner by limit', async (t) => {
  const { url, dir } = await openDaemon(t);
  const shipped = fileURLToPath(new URL('../../../profiles/studies/autodistil.yaml', import.meta.url));
  const spec = parse(await readFile(shipped, 'utf8'));
  const specFile = join(dir, 'split.json');
  await writeFile(
    specFile,
    JSON.stringify({ ...spec, devices: ['fake-1'], protocol: 'quick', budget: { trials: 3 }, batch: 3 }),
  );
  const split = (...args: string[]) => runCommand(url, '--json', 'search', 'split', ...args);
  const limit = 30_000;
  const { code, out, err: notes } = await split(specFile, '--limit', `parameters<=${limit}`);
  t.equal(code, 0, notes);
  const { schema, studies, winner, runnerUp } = JSON.parse(out);
  t.equal(schema, 'hilda.split.v1');
  t.same(
    studies.map(({ space }: { space: string }) => space),
    ['vit-fmnist-tiny', 'vit-fmnist-small', 'vit-fmnist-base'],
  );
  let best = 0;
  for (const { study } of studies) {
    const { front } = await request(url, `/studies/${study}/front`);
    for (const { values } of front) if (values.parameters <= limit) best = Math.max(best, values.accuracy);
  }
  t.equal(winner.values.accuracy, best, 'the best of all fronts within the limit');
  const paired = runnerUp && runnerUp.study === winner.study;
  t.ok(!runnerUp || runnerUp.basis === (paired ? 'paired' : 'independent'), JSON.stringify(runnerUp));
  t.equal(winner.evidence.accuracy.images, 2000);
  t.ok(best > 0.5, `${best}: the weights of vit-fmnist serve its parts`);
  await writeFile(specFile, JSON.stringify({ ...spec, spaces: ['vit-fmnist-tiny'] }));
  t.match((await split(specFile)).err, /SPEC_INVALID/);
});
