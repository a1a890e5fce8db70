import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { type ErrorCode, HildaError } from '../../daemon/core/errors.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import type { Driver, Sighting } from '../../daemon/devices/contract.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { openPluginEvaluator } from '../../daemon/evaluate/plugin-evaluator.js';
import { evaluatorKinds } from '../../daemon/evaluate/registry.js';
import { type LoadedPlugins, loadPlugins, type PluginSetting } from '../../daemon/plugins/load-plugins.js';
import { readPluginSettings } from '../../daemon/plugins/read-settings.js';
import type { AskContext } from '../../daemon/search/samplers/contract.js';
import type { Space } from '../../daemon/search/spaces/contract.js';
import { CellTableSpace } from '../../daemon/search/spaces/nasbench/table.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { contractProtocol, doublingNetwork } from '../../daemon/testing/doubling-network.js';
import { evaluatorContract } from '../../daemon/testing/evaluator-contract.js';
import { openPlugin } from '../../daemon/testing/open-plugin.js';
import { spaceContract } from '../../daemon/testing/space-contract.js';
import { startTestDaemon } from '../../daemon/testing/test-daemon.js';
import { runHere } from '../cli/run-command.js';
import { deviceContract } from '../contract/device-contract.js';
import { holds } from '../contract/holds.js';
import { samplerContract } from '../contract/sampler-contract.js';

t.setTimeout(900_000);
const run = promisify(execFile);
const root = fileURLToPath(new URL('../../../', import.meta.url));
const examples = join(root, 'docs/examples');
const projects = [
  'hilda-sampler-annealing',
  'hilda-driver-accelerator',
  'hilda-space-residual',
  'hilda-model-neighbours',
] as const;
const { signal } = new AbortController();

async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-plugins-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Packs an example as npm would publish it, and unpacks it where npm would install it. */
async function install(name: string, folder: string): Promise<void> {
  const args = ['pack', '--json', '--pack-destination', folder];
  const { stdout } = await run('npm', args, { cwd: join(examples, name) });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  const place = join(folder, 'node_modules', name);
  await mkdir(place, { recursive: true });
  await run('tar', ['-xzf', join(folder, filename), '-C', place, '--strip-components=1']);
}

/** A package of the given code, installed in a folder. */
async function write(
  folder: string,
  name: string,
  code: string,
  manifest: object = { contract: 1, plugin: './plugin.js' },
): Promise<void> {
  const place = join(folder, 'node_modules', name);
  await mkdir(place, { recursive: true });
  const content = { name, version: '2.1.0', type: 'module', hilda: manifest };
  await writeFile(join(place, 'package.json'), JSON.stringify(content));
  await writeFile(join(place, 'plugin.js'), code);
}

const load = (folder: string, ...settings: PluginSetting[]): Promise<LoadedPlugins> =>
  loadPlugins(settings, { folders: [folder], clock: systemClock, evaluatorKinds });

interface StandIn {
  startStandIn(): Promise<{ readonly url: string; stop(): Promise<void> }>;
}

async function startStandIn(t: Test): Promise<string> {
  const path = join(examples, 'hilda-driver-accelerator/test/stand-in.js');
  const { url, stop } = await ((await import(pathToFileURL(path).href)) as StandIn).startStandIn();
  t.teardown(stop);
  return url;
}

t.test('the example projects, packed and installed, load by name and keep the contracts', async (t) => {
  const folder = await temporaryFolder(t);
  for (const name of projects) await install(name, folder);
  const url = await startStandIn(t);
  const loaded = await load(
    folder,
    { name: projects[0] },
    { name: projects[1], drivers: { accelerator: { url } } },
    { name: projects[2] },
    { name: projects[3] },
  );
  const nothing = { version: '1.0.0', samplers: [], drivers: [], evaluators: [], spaces: [], models: [] };
  t.same(loaded.plugins, [
    { ...nothing, name: projects[0], samplers: ['simulated-annealing'] },
    { ...nothing, name: projects[1], drivers: ['accelerator'] },
    { ...nothing, name: projects[2], spaces: ['residual'] },
    { ...nothing, name: projects[3], models: ['neighbours'] },
  ]);
  const [annealing] = loaded.samplers;
  await t.test('the sampler', (t) => samplerContract(t, () => annealing!.create({})));
  t.throws(() => annealing!.create({ cooling: 2 }), { code: 'SPEC_INVALID', message: /cooling is between/ });
  t.throws(() => annealing!.create({ speed: 2 }), { code: 'SPEC_INVALID', message: /speed is no option/ });
  const sound = doublingNetwork();
  const broken = { ...sound, nodes: sound.nodes.map((node) => ({ ...node, op: 'NoSuchOperator' })) };
  await t.test('the driver', (t) => deviceContract(t, () => loaded.drivers[0]!, { broken, host: null }));

  await t.test('a daemon searches with both', async (t) => {
    const daemon = await startTestDaemon({
      drivers: [],
      plugins: {
        plugins: [{ name: projects[0] }, { name: projects[1], drivers: { accelerator: { url } } }],
        folders: [folder],
      },
    });
    t.teardown(() => daemon.stop());
    const { client } = daemon;
    const { devices } = await client.discover({ signal });
    t.same(
      devices.map(({ id, kind }) => [id, kind]),
      [['accelerator-stand-in', 'accelerator']],
    );
    await client.adopt('accelerator-stand-in', { signal });
    const spec = {
      name: 'plug-ins',
      space: 'mbconv-fmnist',
      sampler: { name: 'simulated-annealing', options: { cooling: 0.9 } },
      devices: ['accelerator-stand-in'],
      protocol: 'quick',
      budget: { trials: 4 },
      batch: 2,
    };
    await t.rejects(client.createStudy({ ...spec, sampler: { name: 'annealing' } }, { signal }), {
      code: 'SAMPLER_UNKNOWN',
      message: /simulated-annealing/,
    });
    const { id } = await client.createStudy(spec, { signal });
    let summary = await client.study(id, { signal });
    while (summary.record.state === 'running') {
      await systemClock.sleep(200);
      summary = await client.study(id, { signal });
    }
    t.match(summary, { record: { state: 'completed' }, complete: 4 }, JSON.stringify(summary.record));
    const status = await runHere(['status', '--host', daemon.url]);
    t.match(status.out, /plug-in hilda-sampler-annealing 1\.0\.0: sampler simulated-annealing/);
  });
});

t.test('the example projects pass their own tests and type-check against the declarations', async (t) => {
  const folder = await temporaryFolder(t);
  for (const name of projects) {
    const project = join(folder, name);
    await cp(join(examples, name), project, { recursive: true });
    await mkdir(join(project, 'node_modules'));
    await symlink(root, join(project, 'node_modules/hilda'));
    const tested = await run(process.execPath, ['--test', 'test'], {
      cwd: project,
      // tap's own variables would make the runner report to it.
      env: { PATH: process.env.PATH },
    }).catch((error) => error as { stdout: string; code: number });
    t.notOk('code' in tested && tested.code, tested.stdout);
    t.match(tested.stdout, /# pass [5-9]/, `${name} has a suite`);
  }
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  const flags = ['--allowJs', '--checkJs', '--noEmit', '--strict', '--skipLibCheck'];
  const target = ['--module', 'nodenext', '--target', 'es2023', '--types', 'node'];
  const files = projects.flatMap((name) => [`${name}/plugin.js`, `${name}/test/contract.test.js`]);
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const checked = await run(process.execPath, [tsc, ...flags, ...target, ...files], { cwd: folder }).catch(
    (error) => error as { stdout: string },
  );
  t.equal(checked.stdout, '', 'no type error');
});

const sampler = (name: string, parts = ''): string =>
  `{ name: '${name}', create: () => ({ name: '${name}', needs: [], ask: () => [], tell() {}, state: () => null, restore() {}, ${parts} }) }`;
const samplers = (...list: string[]): string => `export default () => ({ samplers: [${list.join(', ')}] });`;

t.test('what is no plug-in is refused by name, before or without its code', async (t) => {
  const folder = await temporaryFolder(t);
  const refused = async (name: string, code: ErrorCode, message: RegExp): Promise<void> => {
    const error = await load(folder, { name }).catch((thrown: unknown) => thrown as HildaError);
    t.ok(error instanceof HildaError, name);
    t.match(error, { code, message }, name);
  };
  const mark = 'globalThis.hildaPluginRan = true;';
  await refused('hilda-nowhere', 'PLUGIN_MISSING', /not installed in .*hilda-plugins-/);
  for (const name of ['../evil', '/etc/passwd', 'a/../../b', '', '.', 'A', '@scope', 'file:x', '__proto__/x'])
    await refused(name, 'USAGE_INVALID', /is no name of a package/);

  await write(folder, 'newer', `${mark}${samplers()}`, { contract: 2, plugin: './plugin.js' });
  await refused('newer', 'PLUGIN_UNSUPPORTED', /newer 2\.1\.0 is written for contract 2, this hilda has 1/);
  await write(folder, 'plain', `${mark}${samplers()}`, {});
  await refused('plain', 'PLUGIN_FAILED', /it is no plug-in/);
  await write(folder, 'outside', mark, { contract: 1, plugin: '../newer/plugin.js' });
  await refused('outside', 'PLUGIN_FAILED', /leads out of its folder/);
  await write(folder, 'linked', mark, { contract: 1, plugin: './link.js' });
  await symlink('../newer/plugin.js', join(folder, 'node_modules/linked/link.js'));
  await refused('linked', 'PLUGIN_FAILED', /leads out of its folder/);
  await write(folder, 'absent', mark, { contract: 1, plugin: './absent.js' });
  await refused('absent', 'PLUGIN_FAILED', /absent\.js is missing/);
  t.notOk('hildaPluginRan' in globalThis, 'none of their code ran');

  await write(folder, 'throws', "throw new TypeError('no such board');");
  await refused('throws', 'PLUGIN_FAILED', /throws 2\.1\.0 threw on load: no such board/);
  await write(folder, 'factory', "export default () => { throw new Error('no licence'); };");
  await refused('factory', 'PLUGIN_FAILED', /threw on load: no licence/);
  await write(folder, 'syntax', 'export default (');
  await refused('syntax', 'PLUGIN_FAILED', /threw on load/);
  await write(folder, 'object', 'export default { samplers: [] };');
  await refused('object', 'PLUGIN_FAILED', /no function as its default export/);
  await write(folder, 'later', 'export default () => ({ samplers: [], meters: [] });');
  await refused('later', 'PLUGIN_FAILED', /meters/);
  await write(folder, 'nameless', samplers(sampler('Big Name')));
  await refused('nameless', 'PLUGIN_FAILED', /lower-case letters/);

  await write(folder, 'good', samplers(sampler('mine')));
  await symlink(join(folder, 'node_modules/good'), join(folder, 'node_modules/by-link'));
  t.same((await load(folder, { name: 'by-link' })).plugins[0]?.samplers, ['mine'], 'a linked one loads');
});

t.test('a space and a cost model of plug-ins: studies, predictors, another life without them', async (t) => {
  const folder = await temporaryFolder(t);
  for (const name of projects.slice(2)) await install(name, folder);
  await write(
    folder,
    'scorer',
    `export default () => ({ evaluators: [{ kind: 'small', create: (_, { space }) => ({
      metrics: ['accuracy'],
      cost: 'free',
      evaluate: async (architecture) => ({ accuracy: 1 / (1 + space.stats(architecture).parameters / 1e4) }),
      close: async () => {},
    }) }] });`,
  );
  const names = [...projects.slice(2), 'scorer'];
  const plugins = { plugins: names.map((name) => ({ name })), folders: [folder] };
  const dataDir = await temporaryFolder(t);
  const fake = () => new FakeDriver({ ids: ['fake-0'] });
  const space = { kind: 'residual', id: 'residual-small', input: [1, 16, 16], classes: 4 };
  const daemon = await startTestDaemon({ drivers: [fake()], plugins, dataDir });
  const { client } = daemon;
  await client.discover({ signal });
  await client.adopt('fake-0', { signal });
  const spec = {
    name: 'residual',
    space,
    sampler: { name: 'nsga2' },
    evaluator: { kind: 'small' },
    devices: ['fake-0'],
    protocol: 'quick',
    budget: { trials: 30 },
    batch: 6,
  };
  for (const [wrong, message] of [
    [{ ...space, classes: 0 }, /kind residual: classes is a whole number/],
    [{ ...space, surprise: 1 }, /surprise is no field/],
    [{ ...space, id: 'A b' }, /id: /],
    [{ ...space, kind: 'residuals' }, /no kind of space "residuals"/],
  ] as const)
    await t.rejects(client.createStudy({ ...spec, space: wrong }, { signal }), {
      code: 'SPACE_INVALID',
      message,
    });
  const { id } = await client.createStudy(spec, { signal });
  const settled = async () => (await client.study(id, { signal })).record;
  while ((await settled()).state === 'running') await systemClock.sleep(100);
  t.match(await settled(), { state: 'completed', reason: null });
  t.equal(new Set((await client.trials(id, { signal })).map((one) => one.architectureId)).size, 30);
  t.ok((await client.front(id, { signal })).length > 0);
  const model = await client.exportTrial(id, (await client.front(id, { signal }))[0]!.trialNumber, {
    signal,
  });
  t.equal((model.manifest as { space: string }).space, 'residual-small');

  const request = {
    device: 'fake-0',
    space,
    samples: 36,
    seed: 3,
    protocol: 'quick',
    choice: 'random',
  } as const;
  const campaign = await client.startCampaign({ ...request, profile: false }, { signal });
  const ended = async () => client.campaign(campaign.id, { signal });
  while ((await ended()).state === 'running') await systemClock.sleep(100);
  t.match(await ended(), { state: 'done' }, JSON.stringify(await ended()));
  const predictorId = (await ended()).predictorId!;
  const opened = await client.predictor(predictorId, { signal });
  t.equal(opened.spaceId, 'residual-small');
  t.ok(
    Object.keys(opened.candidates).some((label) => label.startsWith('neighbours(')),
    `its model competed: ${JSON.stringify(opened.candidates)}`,
  );
  const status = await runHere(['status', '--host', daemon.url]);
  t.match(
    status.out,
    /hilda-space-residual 1\.0\.0: space residual\n.*hilda-model-neighbours 1\.0\.0: model neighbours/s,
  );
  await daemon.stop();

  const later = await startTestDaemon({ drivers: [fake()], dataDir });
  t.teardown(() => later.stop());
  t.match(await later.client.study(id, { signal }), { record: { state: 'completed' } }, 'it is kept');
  await t.rejects(later.client.createStudy(spec, { signal }), { code: 'SPACE_INVALID', message: /residual/ });
  await t.rejects(later.client.drift(predictorId, { signal }), { code: 'SPACE_INVALID' });
});

const residual = (parts: string) =>
  `export default ({ GraphBuilder, Emitter }) => ({ spaces: [{ kind: 'odd', create: () => ({
    dims: [{ name: 'width', choices: [4, 8] }, { name: 'kernel', choices: [1, 3] }],
    network: ([width, kernel], weights) => {
      const b = new GraphBuilder({ name: 'odd' });
      const e = new Emitter(b, weights);
      const x = e.conv(b.input('input', 'float32', [1, 1, 8, 8]), 'stem', { out: 4 + 4 * width, kernel: 1 + 2 * kernel });
      b.output(e.imageHead(x, 'head', 2), 'logits');
      return b.build();
    }, ${parts} }) }] });`;

t.test('a space that breaks its contract is named where it does', async (t) => {
  const folder = await temporaryFolder(t);
  const wrong: readonly (readonly [string, RegExp, ((space: Space) => unknown)?])[] = [
    ['dims: []', /no list of decisions/],
    ["dims: [{ name: 'a', choices: [] }]", /no list of decisions/],
    ["dims: [{ name: 'a', choices: [1] }, { name: 'a', choices: [1] }]", /two have one name/],
    ['size: 5', /the size 5, with 4 vectors/],
    ['size: 1.5', /the size 1\.5/],
    ['network: 1', /has no network/],
    ['seeds: () => [[0, 2]]', /seeds that are none/],
    ["seeds: () => { throw new Error('dry') }", /threw in seeds: dry/],
    ['normal: () => [0]', /no normal form/, (space) => space.normalise([0, 1])],
    ['normal: ([a, b]) => [b, a]', /no normal form/, (space) => space.normalise([0, 1])],
    ['normal: (all) => { all[0] = 7; return all; }', /no normal form/, (space) => space.normalise([0, 1])],
    ['network: () => null', /threw in network of/, (space) => space.stats([0, 1])],
    [
      "network: () => { throw new Error('no memory') }",
      /threw in network of \[1,0\]: no memory/,
      (space) => space.network([1, 0]),
    ],
  ];
  for (const [i, [parts, message, use]] of wrong.entries()) {
    await write(folder, `odd-${i}`, residual(parts));
    const { pure } = await load(folder, { name: `odd-${i}` });
    const open = () => loadSpace({ kind: 'odd', id: 'odd' }, undefined, pure.spaces);
    t.throws(() => use?.(open()) ?? open(), { code: 'PLUGIN_FAILED', message }, parts);
  }
  await write(folder, 'sound', residual(''));
  const { pure } = await load(folder, { name: 'sound' });
  const space = loadSpace({ kind: 'odd', id: 'odd' }, undefined, pure.spaces);
  await t.test('the sound one keeps the contract', (t) => holds(t, spaceContract(space, 20)));
  t.throws(() => space.normalise([0, 2]), { code: 'ARCHITECTURE_INVALID' });
  for (const [what, taken] of [
    ['spaces', "{ kind: 'mbconv', create: () => ({}) }"],
    ['models', "{ name: 'gaussian', minimumSamples: 5, fit: () => () => [] }"],
  ] as const) {
    await write(folder, `own-${what}`, `export default () => ({ ${what}: [${taken}] });`);
    await t.rejects(load(folder, { name: `own-${what}` }), { code: 'PLUGIN_CONFLICT', message: /hilda has/ });
  }
});

t.test('a cost model that breaks its contract is named, and gives no number', async (t) => {
  const folder = await temporaryFolder(t);
  const samples = {
    columns: ['a'],
    rows: [0, 1, 2].map((value) => Float64Array.of(value)),
    logCosts: Float64Array.of(1, 2, 3),
    weights: Float64Array.of(1, 1, 1),
  };
  for (const [i, [fit, message]] of [
    ["() => { throw new Error('singular') }", /threw in fit: singular/],
    ['() => 4', /gave no function/],
    ['() => () => undefined', /gave 0 predictions for 3 networks/],
    ['() => () => [1, NaN, 2]', /predicted the logarithm NaN/],
    ['() => () => [1, 2, Infinity]', /predicted the logarithm Infinity/],
    ["() => () => { throw new Error('lost') }", /threw in predict: lost/],
  ].entries() as IterableIterator<[number, [string, RegExp]]>) {
    await write(
      folder,
      `model-${i}`,
      `export default () => ({ models: [{ name: 'odd', minimumSamples: 2, fit: ${fit} }] });`,
    );
    const { pure } = await load(folder, { name: `model-${i}` });
    t.throws(() => pure.models[0]!.fit(samples)(samples.rows), { code: 'PLUGIN_FAILED', message }, fit);
  }
});

t.test('no name is replaced, and one that is named twice loads once', async (t) => {
  const folder = await temporaryFolder(t);
  const driver = "export default () => ({ drivers: [{ kind: 'mcu', create: () => ({}) }] });";
  await write(folder, 'one', samplers(sampler('mine')));
  await write(folder, '@mine/two', samplers(sampler('mine')));
  await write(folder, 'linas', samplers(sampler('linas')));
  await write(folder, 'outside', samplers(sampler('external')));
  await write(folder, 'boards', driver);
  const conflict = (message: RegExp) => ({ code: 'PLUGIN_CONFLICT', message });
  await t.rejects(
    load(folder, { name: 'one' }, { name: '@mine/two' }),
    conflict(/mine, a name that one has/),
  );
  await t.rejects(load(folder, { name: 'linas' }), conflict(/linas, a name that hilda has/));
  await t.rejects(load(folder, { name: 'outside' }), conflict(/external, a name that hilda has/));
  await t.rejects(load(folder, { name: 'boards' }), conflict(/mcu, a name that hilda has/));
  const twice = await load(folder, { name: 'one' }, { name: 'one' });
  t.equal(twice.plugins.length, 1);
});

t.test('a sampler that breaks its contract is named, and the study knows why', async (t) => {
  const folder = await temporaryFolder(t);
  const faults: readonly (readonly [parts: string, message: RegExp])[] = [
    ["ask() { throw new Error('lost'); }", /the sampler broken-0 of broken threw in ask: lost/],
    ["ask: () => 'no list'", /gave no list of proposals/],
    ['ask: async () => []', /gave no list of proposals/],
    ['ask: () => [{}]', /gave no list of proposals/],
    ['ask: () => [{ architecture: [99] }]', /\[99\], which is no architecture of/],
    ['ask: () => Array.from({ length: 9 }, () => ({ architecture: [0, 0, 0, 0, 0, 0] }))', /9 proposals/],
    ['ask: () => [{ architecture: [0, 0, 0, 0, 0, Number.NaN] }]', /gave no list of proposals/],
    ['needs: ["a GPU"]', /needs a GPU/],
    ['tell: undefined', /has no tell/],
    ['state: () => new Map()', /a state that is no JSON/],
  ];
  await write(folder, 'broken', samplers(...faults.map(([parts], i) => sampler(`broken-${i}`, parts))));
  const loaded = await load(folder, { name: 'broken' });
  const context: AskContext = {
    space: new CellTableSpace(),
    rng: Xoshiro128.fromSeed(1),
    objectives: [{ metric: 'accuracy', goal: 'max' }],
    constraints: [],
    history: [],
    pending: [],
  };
  for (const [i, [, message]] of faults.entries())
    t.throws(
      () => {
        const made = loaded.samplers[i]!.create({});
        made.ask(8, context);
        made.state();
      },
      { code: 'PLUGIN_FAILED', message },
    );
  t.throws(() => loaded.samplers[0]!.create({ speed: 1 }), { code: 'SPEC_INVALID', message: /takes none/ });
});

/** The evaluator of docs/library.md, in a package of its own. */
async function writeEvaluator(folder: string): Promise<void> {
  const guide = await readFile(join(root, 'docs/library.md'), 'utf8');
  const code = [...guide.matchAll(/```js\n([\s\S]*?)```/g)].map(([, one]) => one as string);
  await write(folder, 'small-first', code.find((one) => one.includes('evaluators:')) as string);
}

t.test('the evaluator of the guide keeps the contract, and a study is scored by it', async (t) => {
  const folder = await temporaryFolder(t);
  await writeEvaluator(folder);
  const plugin = await openPlugin(join(folder, 'node_modules/small-first'));
  t.same(plugin.evaluators, ['small-first']);
  const space = loadSpace(
    JSON.parse(await readFile(join(root, 'profiles/spaces/mbconv-fmnist.json'), 'utf8')),
  );
  const open = () => plugin.evaluator('small-first', space, { target: 5000 });
  await t.test('the contract', (t) => holds(t, evaluatorContract(open, space, 6)));
  await t.rejects(plugin.evaluator('none', space), { code: 'NOT_FOUND' });

  const drivers = [new FakeDriver({ ids: ['cpu-0'] })];
  const plugins = { plugins: [{ name: 'small-first' }], folders: [folder] };
  const daemon = await startTestDaemon({ drivers, plugins });
  t.teardown(() => daemon.stop());
  const { client } = daemon;
  await client.discover({ signal });
  await client.adopt('cpu-0', { signal });
  const spec = {
    ...{ name: 'by a plug-in', space: 'mbconv-fmnist', devices: ['cpu-0'], protocol: 'quick', batch: 2 },
    objectives: [
      { metric: 'fit', goal: 'max' },
      { metric: 'latencyUs', goal: 'min' },
    ],
    budget: { trials: 4 },
  };
  const evaluated = (evaluator: object) => client.createStudy({ ...spec, evaluator }, { signal });
  await t.rejects(evaluated({ kind: 'small-last' }), { code: 'SPEC_INVALID' });
  const { id } = await evaluated({ kind: 'small-first', target: 5000 });
  let summary = await client.study(id, { signal });
  while (summary.record.state === 'running') {
    await systemClock.sleep(100);
    summary = await client.study(id, { signal });
  }
  t.match(summary, { record: { state: 'completed' }, complete: 4 }, JSON.stringify(summary.record));
  const trials = await client.trials(id, { signal });
  for (const { values } of trials) t.equal(values.fit, 5000 / (5000 + (values.parameters as number)));
  const number = trials[0]!.number;
  t.ok((await client.exportTrial(id, number, { signal })).bytes > 1000, 'and exported');
  const status = await runHere(['status', '--host', daemon.url]);
  t.match(status.out, /plug-in small-first 2\.1\.0: evaluator small-first/);
});

t.test('an evaluator that breaks its contract is named, and no wrong value is taken', async (t) => {
  const folder = await temporaryFolder(t);
  const evaluator = (kind: string, parts: string): string =>
    `{ kind: '${kind}', create: () => ({ metrics: ['accuracy'], cost: 'free', evaluate: async () => ({ accuracy: 0.5 }), close: async () => {}, ${parts} }) }`;
  const bringing = (...list: string[]): string =>
    `export default () => ({ evaluators: [${list.join(', ')}] });`;
  const space = new CellTableSpace();
  const faults: readonly (readonly [parts: string, code: ErrorCode, message: RegExp])[] = [
    ['metrics: []', 'PLUGIN_FAILED', /broken-0 of broken is none/],
    ["metrics: ['latencyUs']", 'SPEC_INVALID', /measured or counted/],
    ["cost: 'dear'", 'PLUGIN_FAILED', /is none/],
    ['evaluate: 1', 'PLUGIN_FAILED', /is none/],
    ["evaluate() { throw new Error('lost'); }", 'EVALUATION_FAILED', /threw in evaluate: lost/],
    ['evaluate: async () => 0.5', 'PLUGIN_FAILED', /gave no values/],
    ['evaluate: async () => ({})', 'PLUGIN_FAILED', /gave nothing, and says accuracy/],
    ['evaluate: async () => ({ accuracy: 0.5, f1: 0.5 })', 'PLUGIN_FAILED', /gave accuracy, f1/],
    ['evaluate: async () => ({ accuracy: 91 })', 'PLUGIN_FAILED', /not a share of 1/],
    ['evaluate: async () => ({ accuracy: NaN })', 'PLUGIN_FAILED', /gave no values/],
    [
      'evaluate: async () => ({ accuracy: { value: 0.5, ci: [0.6, 0.7] } })',
      'PLUGIN_FAILED',
      /outside its own/,
    ],
  ];
  await write(folder, 'broken', bringing(...faults.map(([parts], i) => evaluator(`broken-${i}`, parts))));
  const { evaluators } = await load(folder, { name: 'broken' });
  for (const [i, [parts, code, message]] of faults.entries()) {
    const work = async () =>
      (await openPluginEvaluator(evaluators[i]!, {}, { space })).evaluate([0, 0, 0, 0, 0, 0], { signal });
    await t.rejects(work(), { code, message }, parts);
  }
  await t.rejects(openPluginEvaluator(evaluators[4]!, { speed: 1 }, { space }), {
    code: 'SPEC_INVALID',
    message: /takes none/,
  });
  for (const own of evaluatorKinds) {
    await write(folder, `own-${own}`, bringing(evaluator(own, '')));
    await t.rejects(load(folder, { name: `own-${own}` }), { code: 'PLUGIN_CONFLICT', message: /hilda has/ });
  }
  t.same([...evaluatorKinds], ['supernet', 'command', 'inherit', 'table', 'external']);
});

t.test('a driver that breaks its contract is named, and its device gives no wrong number', async (t) => {
  const folder = await temporaryFolder(t);
  const target = `{ model: 'm', clockHz: null, runtime: 'r', runtimeVersion: '1', provider: 'p', threads: 1, dtype: 'float32', tier: 't' }`;
  const seen = (more = ''): string =>
    `{ id: 'odd-1', kind: 'odd', label: 'Odd', target: ${target}, host: null, obstacle: null, ${more} }`;
  const write1 = (discover: string, measure = '{}', kind = 'odd'): Promise<void> =>
    write(
      folder,
      'odd',
      `export default () => ({ drivers: [{ kind: 'odd', create: () => ({ kind: '${kind}',
        async *discover() { ${discover} },
        async open() { return { target: ${target}, measure: async (network, protocol, { signal }) => (${measure}), close: async () => {} }; },
      }) }] });`,
    );
  // Modules are kept by their address: each case is a package of its own.
  let count = 0;
  const open = async (...given: Parameters<typeof write1>): Promise<Driver> => {
    await write1(...given);
    const name = `odd-${count++}`;
    await cp(join(folder, 'node_modules/odd'), join(folder, 'node_modules', name), { recursive: true });
    return (await load(folder, { name })).drivers[0]!;
  };
  const look = async (driver: Driver): Promise<Sighting[]> => {
    const list: Sighting[] = [];
    for await (const one of driver.discover({ signal })) list.push(one);
    return list;
  };
  const failed = (message: RegExp) => ({ code: 'PLUGIN_FAILED', message });
  await t.rejects(open('', '{}', 'even'), failed(/calls itself "even"/));
  await t.rejects(
    look(await open("throw new Error('no bus');")),
    failed(/the driver odd of odd threw: no bus/),
  );
  await t.rejects(look(await open(`yield ${seen("id: 'cpu-1'")};`)), failed(/ids must begin with odd-/));
  await t.rejects(look(await open(`yield ${seen("kind: 'mcu'")};`)), failed(/of the kind mcu/));
  await t.rejects(look(await open(`yield ${seen('target: 1')};`)), failed(/is not described well/));
  await t.rejects(
    look(await open(`yield ${seen()}; yield ${seen()};`)),
    failed(/two devices of the id odd-1/),
  );

  const measured = async (measure: string): Promise<unknown> => {
    const driver = await open(`yield ${seen()};`, measure);
    const device = await driver.open((await look(driver))[0]!, { signal });
    return device.measure(doublingNetwork(), contractProtocol, { signal });
  };
  await t.rejects(measured('42'), failed(/gave no measurement/));
  await t.rejects(measured("(() => { throw new TypeError('x is undefined'); })()"), {
    code: 'DEVICE_FAILED',
    message: /the driver odd of odd threw: x is undefined/,
  });
  // The error of another copy of hilda.
  const foreign =
    "Object.assign(new Error('no memory'), { name: 'HildaError', code: 'DEVICE_OUT_OF_MEMORY', hint: 'h', details: {} })";
  await t.rejects(measured(`(() => { throw ${foreign}; })()`), { code: 'DEVICE_OUT_OF_MEMORY' });
  const summary = (median: string): string =>
    `{ n: 3, min: 1, median: ${median}, p90: 3, mad: 0, ciLow: 1, ciHigh: 3 }`;
  const measurement = (us: string, of = target): string => `{
    target: ${of}, provenance: 'measured', protocol: 'contract', structureHash: '${'0'.repeat(64)}',
    weightsHash: '${'0'.repeat(64)}', counts: null, verdict: 'valid', reason: 'as it should be', manifest: {},
    latency: { rawUs: ${summary(us)}, ratio: ${summary('1')}, normalisedUs: ${us}, normalisedCiUs: [1, 3], reference: 'convolution', loadUs: null, firstRunUs: null },
    memory: { weightBytes: 1, activationPeakBytes: 1, peakBytes: 2, runPeakRssBytes: null }, rounds: [], takenAtMs: 1, durationMs: 1 }`;
  t.ok(await measured(measurement('2')), 'a whole one is taken');
  await t.rejects(measured(measurement('Number.NaN')), failed(/gave no measurement/));
  await t.rejects(measured(measurement('-2')), failed(/latency is not positive/));
  await t.rejects(
    measured(measurement('2', target.replace("'r'", "'other'"))),
    failed(/another target.*: runtime/),
  );
});

t.test('settings: a file of the data folder, and the command line', async (t) => {
  const data = await temporaryFolder(t);
  t.same(await readPluginSettings(data, {}), { plugins: [], folders: [join(data, 'plugins')] });
  const file = (text: string): Promise<void> => writeFile(join(data, 'plugins.json'), text);
  await file('{"plugins": ["a", {"name": "b", "drivers": {"x": {"url": "u"}}}], "folders": ["/srv"]}');
  t.same(await readPluginSettings(data, { names: ['c'], folders: ['/opt'] }), {
    plugins: [{ name: 'a' }, { name: 'b', drivers: { x: { url: 'u' } } }, { name: 'c' }],
    folders: ['/opt', '/srv', join(data, 'plugins')],
  });
  for (const text of ['{', '[]', '{"plugin": ["a"]}', '{"plugins": [{"name": "a", "options": {}}]}']) {
    await file(text);
    await t.rejects(readPluginSettings(data, {}), { code: 'USAGE_INVALID', message: /plugins\.json/ }, text);
  }
  await file('{"plugins": [{"name": "one", "drivers": {"odd": {}}}]}');
  await write(join(data, 'plugins'), 'one', samplers(sampler('mine')));
  await write(join(data, 'plugins'), 'two', "throw new Error('no licence');");
  const up = (...args: string[]) => runHere(['up', '--data', data, '--port', '0', ...args]);
  t.match(await up(), { code: 2, err: /one brings no driver odd/ });
  await file('{}');
  t.match(await up('--plugin', 'two'), { code: 1, err: /no licence \[PLUGIN_FAILED\]/ });
  t.match(await up('--plugin', 'three'), {
    code: 3,
    err: /three is not installed in .*plugins \[PLUGIN_MISSING\]/,
  });
  const join1 = ['agent', 'join', 'ws://127.0.0.1:1', '--token', 'x', '--data', data, '--plugin', 'two'];
  t.match(await runHere(join1), { code: 1, err: /no licence \[PLUGIN_FAILED\]/ });
  // Nothing of the present folder is looked at, nor of folders above those that are named.
  const inner = join(data, 'plugins', 'inner');
  await mkdir(inner);
  await t.rejects(load(inner, { name: 'one' }), { code: 'PLUGIN_MISSING' });
  t.equal(dirname(inner), join(data, 'plugins'));
});
