import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { Daemon } from '../../daemon/cli/compose.js';
import { systemClock } from '../../daemon/core/clock.js';
import { FakeDriver, type FakeDriverOptions } from '../../daemon/devices/fake/driver.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { runCommand } from '../cli/run-command.js';
import { smallSpace, smallSpec, testSpec } from './bench.js';

const example = (name: string): string =>
  fileURLToPath(new URL(`../../../docs/examples/${name}`, import.meta.url));
/** Debian's, whose packages another python3 on the path would not see. CI installs Optuna and forbids the skip. */
const python = '/usr/bin/python3';
const noOptuna =
  spawnSync(python, ['-c', 'import optuna']).status !== 0 && !process.env.CI
    ? 'python3-optuna is not installed'
    : false;
t.setTimeout(900_000);

/** A whole daemon with three fake devices, each fast at something else. */
async function openDaemon(
  t: Test,
  { faults = [] }: Pick<FakeDriverOptions, 'faults'> = {},
): Promise<{ url: string; dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-outside-'));
  const drivers = [
    new FakeDriver({
      ids: ['fake-0', 'fake-1', 'fake-2'],
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
  for (const id of ['fake-0', 'fake-1', 'fake-2']) await request(url, `/devices/${id}/adopt`, {});
  return { url, dir };
}

// biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, asserted on.
async function request(url: string, path: string, body?: unknown): Promise<any> {
  const response = await fetch(`${url}/v1${path}`, {
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

const optunaStudies = [
  {
    sampler: 'TPESampler',
    options: { n_startup_trials: 8, seed: 1 },
    objectives: [{ metric: 'accuracy', goal: 'max' }],
  },
  {
    sampler: 'NSGAIISampler',
    options: { population_size: 8, seed: 1 },
    objectives: [
      { metric: 'accuracy', goal: 'max' },
      { metric: 'latencyUs', goal: 'min' },
    ],
  },
];
for (const { sampler, options, objectives } of optunaStudies) {
  t.test(`Optuna's ${sampler} searches`, { skip: noOptuna }, async (t) => {
    const { url, dir } = await openDaemon(t, { faults: [null, null, null, null, null, 'contended'] });
    const spec = await smallSpec(dir, {
      sampler: { name: 'external' },
      objectives,
      constraints: [{ metric: 'latencyUs', max: 900 }],
      budget: { trials: 24 },
      attempts: 1,
    });
    const { id } = await request(url, '/studies', spec);
    const sizes = JSON.stringify(loadSpace(smallSpace).dims?.map(({ choices }) => choices.length));
    const ended = await run(python, [
      example('outside_optuna.py'),
      `${url}/v1/studies/${id}`,
      sizes,
      sampler,
      JSON.stringify(options),
    ]);
    t.equal(ended.code, 0, ended.err);
    const { states, front } = JSON.parse(ended.out) as { states: string[]; front: number[][] };
    const summary = await request(url, `/studies/${id}`);
    t.match(summary, { record: { state: 'completed' }, told: 24 });
    const names = { complete: 'COMPLETE', infeasible: 'PRUNED', failed: 'FAIL' };
    for (const [state, name] of Object.entries(names)) {
      const told = states.filter((one) => one === name).length;
      t.ok(summary[state] > 0 && told >= summary[state], `${summary[state]} ${state}, told ${told} times`);
    }
    t.ok(states.length > 24, 'what Optuna proposes again costs no trial');
    const known = await request(url, `/studies/${id}/front`);
    const rows = known.front.map(({ values }: { values: Record<string, number> }) =>
      objectives.map(({ metric }) => values[metric]),
    );
    t.same(new Set(front.map(String)), new Set(rows.map(String)), 'its front is the daemon’s');
  });
}

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
