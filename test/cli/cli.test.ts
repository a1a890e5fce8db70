import { execFileSync, spawn } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { lookAlikes } from '../../daemon/cli/commands/devices/list.js';
import { errorTable } from '../../daemon/core/errors.js';
import type { DeviceId } from '../../daemon/core/ids.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { loadSpace } from '../../daemon/search/spaces/registry.js';
import { startTestDaemon } from '../../daemon/testing/test-daemon.js';
import { deviceId, modelBytes, openBench, temporaryFolder } from '../api/bench.js';
import { doublingNetwork } from '../contract/device-contract.js';
import { alert } from '../contract/store-samples.js';
import { ownerFetch } from '../owner-fetch.js';
import { until } from '../until.js';
import { type Ended, runHere } from './run-command.js';

const main = fileURLToPath(new URL('../../daemon/cli/main.js', import.meta.url));
const root = fileURLToPath(new URL('../../../', import.meta.url));

function start(args: readonly string[], env: Record<string, string> = {}) {
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  const ended = new Promise<Ended>((resolve) => child.once('close', (code) => resolve({ code, out, err })));
  const firstLine = new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (data) => {
      out += data;
      if (out.includes('\n')) resolve(out.split('\n')[0] as string);
    });
    void ended.then(() => reject(new Error(`ended without a line: ${err}`)));
  });
  firstLine.catch(() => {});
  child.stderr.on('data', (data) => {
    err += data;
  });
  return { child, ended, firstLine };
}

/** Forty rows of two columns and a cost. */
const csvOf = (cost: (i: number) => number): string =>
  ['a,b,ms', ...Array.from({ length: 40 }, (_, i) => `${i % 7},${i % 3},${cost(i)}`)].join('\n');

const run = (args: readonly string[], env?: Record<string, string>): Promise<Ended> => start(args, env).ended;

const mbconvSpace = async () =>
  loadSpace(JSON.parse(await readFile(join(root, 'profiles/spaces/mbconv-fmnist.json'), 'utf8')));

async function inputs(t: Test) {
  const folder = await temporaryFolder(t);
  const file = async (name: string, content: string | Uint8Array): Promise<string> => {
    await writeFile(join(folder, name), content);
    return join(folder, name);
  };
  return { folder, file };
}

t.test('every command answers with one versioned document, and with text', async (t) => {
  const { url, studies, keys, store } = await openBench(t);
  await store.raiseAlerts({ alerts: [{ ...alert, deviceId }], returned: [], watchedUpTo: 0 });
  const joiner = await keys.redeem('page', (await keys.issue('page')).token, 'a phone');
  const { folder, file } = await inputs(t);
  const model = await file('net.onnx', modelBytes);
  const spec = await file('spec.yaml', 'name: by hand\nobjectives:\n  - { metric: accuracy, goal: max }\n');
  const env = { HILDA_HOST: url };

  const started = JSON.parse((await run(['search', 'start', spec, '--json'], env)).out) as {
    schema: string;
    study: { id: string };
  };
  t.equal(started.schema, 'hilda.study.v1');
  const id = started.study.id;
  await studies.finishTrial(id as never);
  const out = join(folder, 'winner.onnx');
  const csv = await file(
    'table.csv',
    csvOf((i) => 5 + (i % 7) * 2 + (i % 3)),
  );
  const figures = await file('figures.csv', 'network,latency_us\nkws,12.5\n');
  const results = join(folder, 'sdk/board/kws/performance');
  await mkdir(results, { recursive: true });
  await writeFile(join(results, 'results.txt'), '1 ulp-mlperf: Median throughput is 8.000 inf./sec.\n');
  await writeFile(join(results, 'log.txt'), 'not read: results lie beside it');
  const ofa = await file('ofa.yaml', 'Logits-input:7x7x8-output:10: {count: 2, mean: 0.5, std: 0.1}\n');
  const choices = (await mbconvSpace()).dims?.map((dim) => dim.choices) ?? [];
  const names = [...new Set(choices.flat())];
  const layers = await file(
    'layers.txt',
    [names, ...choices.map((own) => names.map((name) => (own.includes(name) ? 5 : '-')))]
      .map((line) => line.join(' '))
      .join('\n'),
  );
  const journal = join(folder, 'study.journal');
  const { id: journalled } = await store.createStudy({
    name: 'journalled',
    spec: {
      name: 'journalled',
      space: JSON.parse(await readFile(join(root, 'profiles/spaces/mbconv-fmnist.json'), 'utf8')),
      devices: [deviceId],
      budget: { trials: 1 },
    },
    sampler: null,
    rng: [1, 2, 3, 4],
  });
  const table: [schema: string, args: string[], text: RegExp][] = [
    ['journal', ['record', 'export', journalled, '--out', journal], /study\.journal/],
    ['replay', ['replay', journal, '--any-version'], /^identical true\n0 trials and 0 measurements/],
    ['status', ['status'], /0\.0\.0-test/],
    ['devices', ['devices', 'list', '--discover'], /fake-0/],
    ['device', ['devices', 'show', deviceId], /Fake device/],
    ['device', ['devices', 'adopt', deviceId], /adopted/],
    ['invitation', ['devices', 'pair', '--no-wait'], /\/join\/#t=[\s\S]*For one phone/],
    ['invitation', ['devices', 'pair', '--no-wait', '--as', joiner.id], /\/join\/#t=/],
    ['joiner', ['devices', 'revoke', joiner.id], /is revoked/],
    ['invitation', ['agent', 'token'], /hilda agent join ws:\/\/\S+ --token \S+/],
    ['joiners', ['agent', 'list'], /page +revoked .* a phone/],
    ['device', ['devices', 'quarantine', deviceId, '--reason', 'hot'], /quarantined/],
    ['healths', ['devices', 'health'], /in quarantine \(hot\), until it is released/],
    [
      'health',
      ['devices', 'health', deviceId],
      /convolution reference: not measured[\s\S]*ended in the last week/,
    ],
    ['device', ['devices', 'ignore', deviceId], /ignored/],
    ['device', ['devices', 'tag', deviceId, 'shelf=2', 'blue'], /blue, shelf=2/],
    ['equivalence', ['devices', 'compare', deviceId, 'fake'], /equivalent within 5\.0 %/],
    ['device', ['devices', 'adopt', deviceId], /adopted/],
    ['measurement', ['measure', model, '--device', deviceId], /100 us, 95 % 96\.6 us to 103 us/],
    ['profile', ['profile', model, '--device', deviceId], /Conv +50\.0 us/],
    ['history', ['history', 'm1'], /measurements? on fake[\s\S]*no change of the level/],
    [
      'alerts',
      ['alerts', 'list'],
      /quarantine +fake[\s\S]*alert-1 +open +change +fake[\s\S]*\+4\.0 %[\s\S]*kernel/,
    ],
    [
      'mute',
      ['alerts', 'mute', '--device', deviceId, '--hours', '2'],
      /mute-2: alerts of all metrics of all/,
    ],
    ['mutes', ['alerts', 'mutes'], /mute-1 +all metrics/],
    ['alert', ['alerts', 'ack', 'alert-1', '--note', 'an upgrade'], /acknowledged by/],
    [
      'alerts',
      ['alerts', 'list', '--state', 'open', '--device', deviceId],
      /^(?!.*alert-1)[\s\S]*it is over +quarantine/,
    ],
    ['alert', ['alerts', 'show', 'alert-1'], /3\.0 % to \+5\.0 %[\s\S]*kernel: 6\.1, since then 6\.2/],
    ['digest', ['alerts', 'digest'], /[1-9]\d* valid measurements?, 2 alerts; 1 are open/],
    ['check', ['devices', 'health', deviceId, '--check'], /gave no clear answer|passed/],
    ['webhook', ['webhooks', 'add', 'http://127.0.0.1:9/hook'], /shown this once: whsec_/],
    ['webhooks', ['webhooks', 'list'], /webhook-1 +http:\/\/127\.0\.0\.1:9\/hook/],
    ['webhook', ['webhooks', 'test', 'webhook-1'], /on its way to webhook-1/],
    ['deliveries', ['webhooks', 'deliveries', 'webhook-1'], /delivery-2 +test +waiting/],
    ['predictors', ['predictor', 'list'], /no predictors/],
    [
      'predictor-fit',
      ['predictor', 'fit-csv', csv, '--columns', 'a,b', '--metric', 'ms', '--train', '20'],
      /within 10 % {2}100\.0 %/,
    ],
    [
      'benchmark',
      ['bench', 'import', figures, '--device', 'board'],
      /is imported[\s\S]*kws +imported: board .* not told/,
    ],
    [
      'benchmark',
      ['bench', 'import', join(folder, 'sdk')],
      /kws +imported: sdk\/board +latencyUs +125\.0 ms/,
    ],
    ['benchmark', ['bench', 'compare', '1', '3', '--gate-imported'], /Beside run 3[\s\S]*unclear/],
    ['lut-check', ['lut', 'check', ofa, '--format', 'ofa'], /1 entries, 500 to 500 us, imported/],
    [
      'predictor',
      ['lut', 'import', layers, '--format', 'fbnet', '--device', deviceId, '--space', 'mbconv-fmnist'],
      /imported, 0 networks measured[\s\S]*score +none yet[\s\S]*stem and head are not in its sums/,
    ],
    ['predictors', ['predictor', 'list'], /imported/],
    ['predictor-eval', ['predictor', 'eval', 'predictor-1'], /sums of an imported table of layers/],
    ['lut', ['lut', 'export', 'predictor-1', '--format', 'fbnet'], /^k3e1 k3e3 /m],
    ['studies', ['search', 'list'], /by hand/],
    ['study', ['search', 'show', id], /1 of 10/],
    ['front', ['search', 'front', id], /50\.0 % \(47\.0 to 53\.0\)/],
    ['study', ['search', 'pause', id], /paused/],
    ['study', ['search', 'resume', id], /running/],
    ['export', ['search', 'export', id, '--trial', '0', '--out', out], /winner\.onnx/],
    ['study', ['search', 'stop', id], /stopped/],
  ];
  for (const [schema, args, text] of table) {
    const json = await runHere([...args, '--json'], env);
    t.equal(json.code, 0, json.err);
    t.equal((JSON.parse(json.out) as { schema: string }).schema, `hilda.${schema}.v1`, args.join(' '));
    const plain = await runHere([...args, '--host', url]);
    t.equal(plain.code, 0, plain.err);
    t.match(plain.out, text);
  }
  t.match(
    (await run(['alerts', 'unmute', 'mute-1'], env)).out,
    /all networks on fake-0 raise attention again/,
  );
  t.match((await run(['alerts', 'unmute', 'mute-1'], env)).err, /no mute mute-1 \[NOT_FOUND\]/);
  t.same(new Uint8Array(await readFile(out)), modelBytes);
  t.same(JSON.parse(await readFile(join(folder, 'winner.json'), 'utf8')), { measured: true });
});

t.test('search gradient: one winner a table, without a daemon', async (t) => {
  const { folder, file } = await inputs(t);
  const space = await mbconvSpace();
  const keys = new Set<string>();
  const largest = space.seeds?.().at(-1) as readonly number[];
  for (const [l, dim] of (space.dims ?? []).entries())
    for (const choice of dim.choices.keys())
      for (const { key } of space.blocks?.(largest.map((i, k) => (k === l ? choice : i))) ?? [])
        keys.add(key);
  // One target pays for kernels, the other for expansions; lambda is so large that the tables alone decide.
  const tableBy = (field: string): string =>
    [...keys]
      .map((key) => `${key}: {count: 1, mean: ${new RegExp(`${field}:(\\d+)`).exec(key)?.[1] ?? 1}, var: 0}`)
      .join('\n');
  await file('kernels.yaml', tableBy('kernel'));
  await file('expansions.yaml', tableBy('expand'));
  const spec = {
    space: 'mbconv-fmnist',
    dataset: { folder: join(root, 'profiles/datasets/fashion-mnist'), split: 'calibration' },
    targets: ['kernels', 'expansions'].map((name) => ({
      name,
      table: `${name}.yaml`,
      format: 'proxylessnas',
    })),
    loss: { kind: 'add#linear', lambda: 1000 },
    mode: 'two',
    steps: 15,
    batch: 2,
    rate: 0.5,
    candidates: 2,
    slack: 0.5,
  };
  const path = await file('gradient.yaml', JSON.stringify(spec));
  const ended = await runHere(['search', 'gradient', path, '--threads', '1', '--out', folder, '--json']);
  t.equal(ended.code, 0, ended.err);
  t.match(ended.err, /kernels: step 10\/15/);
  const answer = JSON.parse(ended.out) as {
    schema: string;
    units: Record<string, string>;
    level: number;
    winners: { target: string; accuracy: number; costs: Record<string, number>; choices: string[] }[];
  };
  t.equal(answer.schema, 'hilda.gradient-search.v1');
  t.ok(answer.winners.every(({ accuracy }) => accuracy >= answer.level));
  t.same(answer.units, { kernels: 'us', expansions: 'us' });
  const [kernels, expansions] = answer.winners;
  t.ok((kernels?.costs.kernels as number) < (expansions?.costs.kernels as number), JSON.stringify(answer));
  t.ok((expansions?.costs.expansions as number) < (kernels?.costs.expansions as number));
  t.ok((kernels?.accuracy as number) > 0.2);
  t.ok((await readFile(join(folder, 'kernels.onnx'))).length > 1000);

  await file('expansions.yaml', 'Logits-input:4x4x96-output:10: {count: 1, mean: 1, var: 0}');
  const missing = await runHere(['search', 'gradient', path, '--json']);
  t.match(missing.err, /TABLE_INCOMPLETE/);
  const wrong = await file('wrong.yaml', JSON.stringify({ ...spec, space: 'vit-fmnist', steps: 0 }));
  t.match((await runHere(['search', 'gradient', wrong, '--json'])).err, /SPEC_INVALID.*steps/);
});

t.test('an agent that is not let in ends and says why', async (t) => {
  const { url } = await openBench(t);
  const { folder } = await inputs(t);
  const args = ['agent', 'join', url.replace(/^http/, 'ws'), '--token', 'a-guess', '--data', folder];
  const { code, err } = await run(args, { HOME: folder });
  t.equal(code, 8, err);
  t.match(err, /PAIRING_REFUSED[\s\S]*hilda agent token/);
  t.equal((await runHere(['agent', 'join', 'http://somewhere'])).code, 2);
});

t.test('failures end with the code of their kind and a problem document', async (t) => {
  const { url } = await openBench(t);
  const { file } = await inputs(t);
  const broken = await file('broken.onnx', 'rubbish');
  const model = await file('net.onnx', modelBytes);
  const notYaml = await file('bad.yaml', 'a: [');
  const wrong = await file('wrong.yaml', 'nothing: here');
  const zeros = await file(
    'zeros.csv',
    csvOf((i) => (i === 3 ? 0 : 5)),
  );
  const binary = await file('binary.csv', new Uint8Array([0xff, 0xfe, 0x6e]));
  const emptyFolder = await temporaryFolder(t);
  const fit = ['predictor', 'fit-csv', zeros, '--metric', 'ms'];
  const table: [code: keyof typeof errorTable, args: string[]][] = [
    ['SAMPLES_INVALID', [...fit, '--columns', 'a,b']],
    ['USAGE_INVALID', [...fit, '--columns', 'missing']],
    ['TABLE_INVALID', ['bench', 'import', zeros, '--device', 'board']],
    ['TABLE_INVALID', ['bench', 'import', binary, '--device', 'board']],
    ['NOT_FOUND', ['bench', 'import', emptyFolder]],
    ['USAGE_INVALID', [...fit, '--space', 'nowhere']],
    ['TABLE_INVALID', ['lut', 'check', wrong, '--format', 'ofa']],
    [
      'TABLE_INVALID',
      ['lut', 'import', wrong, '--format', 'ofa', '--device', deviceId, '--space', 'mbconv-fmnist'],
    ],
    ['PREDICTOR_UNKNOWN', ['predictor', 'eval', 'predictor-9']],
    ['DEVICE_UNKNOWN', ['lut', 'build', '--device', 'toaster', '--space', 'mbconv-fmnist']],
    ['NOT_FOUND', ['predictor', 'train', '--device', deviceId, '--space', 'nowhere']],
    ['ONNX_INVALID', ['measure', broken, '--device', deviceId]],
    ['DEVICE_UNKNOWN', ['measure', model, '--device', 'toaster']],
    ['DEVICE_UNKNOWN', ['devices', 'show', 'toaster']],
    ['PROTOCOL_UNKNOWN', ['measure', model, '--device', deviceId, '--protocol', 'unheard-of']],
    ['MEASUREMENT_INVALID', ['measure', model, '--device', deviceId, '--protocol', 'careful']],
    ['NOT_FOUND', ['measure', '/no/such/file.onnx', '--device', deviceId]],
    ['NOT_FOUND', ['replay', '/no/such/file.journal']],
    ['JOURNAL_INVALID', ['replay', model]],
    ['STUDY_UNKNOWN', ['record', 'export', 'study-99', '--out', '/dev/null']],
    ['NOT_FOUND', ['record', 'export', '99', '--out', '/dev/null']],
    ['USAGE_INVALID', ['replay', model, '--until', '-1']],
    ['STUDY_UNKNOWN', ['search', 'show', 'none']],
    ['SPEC_INVALID', ['search', 'start', notYaml]],
    ['SPEC_INVALID', ['search', 'start', wrong]],
    ['USAGE_INVALID', ['measure', model]],
    ['USAGE_INVALID', ['search', 'export', 'x', '--trial', 'first', '--out', 'y']],
    ['USAGE_INVALID', ['no-such-command']],
    ['USAGE_INVALID', []],
  ];
  for (const [code, args] of table) {
    const { code: exit, err } = await runHere([...args, '--json'], { HILDA_HOST: url });
    t.equal(exit, errorTable[code].exit, `${code} ${args.join(' ')}`);
    t.equal(
      (JSON.parse(err.trim().split('\n').at(-1) as string) as { code: string }).code,
      code,
      args.join(' '),
    );
  }
  const plain = await run(['devices', 'show', 'toaster'], { HILDA_HOST: url });
  t.match(plain.err, /\[DEVICE_UNKNOWN\]\nRun `hilda devices list`/);
  t.equal(plain.out, '');
  t.equal((await run(['--help'])).code, 0);
  t.equal(
    (await run(['status'], { HILDA_HOST: 'http://127.0.0.1:9' })).code,
    errorTable.DAEMON_UNREACHABLE.exit,
  );
});

t.test(
  'words that are no command are refused in one line, with those they resemble, also where help is asked for',
  async (t) => {
    const table: [args: string[], said: RegExp, hint: RegExp][] = [
      [['devics', 'list'], /^unknown command 'devics'$/, /^Did you mean devices\? Run the command/],
      [['devices', 'lst'], /^unknown command 'lst'$/, /^Did you mean list\? Run/],
      [['devices', 'list', '--jsn'], /^unknown option '--jsn'$/, /^Did you mean --json\? Run/],
      [
        ['--host', 'http://127.0.0.1:1', 'devics', '--help'],
        /^unknown command 'devics'$/,
        /^Did you mean devices\?/,
      ],
      [['devices', 'lst', '--help'], /^unknown command 'lst'$/, /^Did you mean list\?/],
      [['help', 'devics'], /^unknown command 'devics'$/, /^Did you mean devices\?/],
      [['devices', 'help', 'lst'], /^unknown command 'lst'$/, /^Did you mean list\?/],
      [['constructor', '--help'], /^unknown command 'constructor'$/, /^Run the command/],
      [['größe', '-h'], /^unknown command 'größe'$/, /^Run the command/],
    ];
    for (const [args, said, hint] of table) {
      const { code, out, err } = await runHere(['--json', ...args]);
      t.equal(code, errorTable.USAGE_INVALID.exit, args.join(' '));
      t.match(JSON.parse(err), { code: 'USAGE_INVALID', detail: said, hint }, args.join(' '));
      t.equal(out, '', 'no help of another command');
    }
    for (const args of [
      ['devices', 'list', '--help'],
      ['help', 'devices'],
      ['--help'],
      ['measure', 'x', '--help'],
    ]) {
      const { code, out } = await runHere(args);
      t.equal(code, 0, args.join(' '));
      t.match(out, /^Usage: hilda /);
    }
  },
);

t.test('ids may be cut to a unique beginning, a slip is told, and a name moves no cursor', async (t) => {
  const { url, studies, store, keys } = await openBench(t);
  const device = await store.device(deviceId);
  for (const id of ['emulated-rp2040-pico', 'emulated-rp2040w', 'cpu-3f2a91', 'cpu-3f2b00'])
    await store.upsertDevice({ ...device, id: id as DeviceId });
  for (let i = 0; i < 10; i++)
    await studies.create({ name: i === 0 ? '<img src=x>\u001b[2J\u009b1A\nstudy-99  completed' : 's' });
  const joiner = await keys.redeem('page', (await keys.issue('page')).token, 'a phone');
  const env = { HILDA_HOST: url };
  const idOf = async (...args: string[]) => JSON.parse((await runHere([...args, '--json'], env)).out);
  t.equal(
    (await idOf('devices', 'show', 'emulated-rp2040')).device.id,
    'emulated-rp2040-pico',
    'whole parts first',
  );
  t.equal((await idOf('devices', 'tag', 'cpu-3f2a', 'x')).device.id, 'cpu-3f2a91');
  t.equal((await idOf('search', 'stop', 'study-1')).study.id, 'study-1', 'the id itself, not study-10');
  t.equal((await idOf('devices', 'revoke', joiner.id.slice(0, -2))).joiner.id, joiner.id);
  for (const [args, code, hint] of [
    [['devices', 'show', 'cpu-3f2'], 'DEVICE_UNKNOWN', /Give more of its id: cpu-3f2a91, cpu-3f2b00/],
    [['devices', 'show', 'emulatd-rp2040-pico'], 'DEVICE_UNKNOWN', /Did you mean emulated-rp2040-pico/],
    [['search', 'show', 'stuy-3'], 'STUDY_UNKNOWN', /Did you mean study-3/],
    [['search', 'stop', 'stud'], 'STUDY_UNKNOWN', /Give more/],
    [['search', 'show', 'nothing-like-it'], 'STUDY_UNKNOWN', /hilda search list/],
  ] as const) {
    const { code: exit, err } = await runHere(args, env);
    t.equal(exit, errorTable[code].exit, args.join(' '));
    t.match(err, hint);
  }
  const listed = await run(['search', 'list'], env);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be there.
  t.notMatch(listed.out, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  t.match(listed.out, /<img src=x>\\u001b\[2J\\u009b1A\\nstudy-99 {2}completed/);
  t.equal(listed.out.trimEnd().split('\n').length, 11, 'a name is one line');
});

t.test('ways that go wrong, as a person walks them', async (t) => {
  const { folder, file } = await inputs(t);
  const { signal } = new AbortController();
  const dataDir = join(folder, 'data');
  await mkdir(dataDir);
  const drivers = [new FakeDriver({ ids: ['fake-0', 'fake-1'], delayMs: 50 })];
  const { url, client, stop } = await startTestDaemon({ dataDir, drivers });
  t.teardown(stop);
  await client.discover({ signal });
  for (const id of ['fake-0', 'fake-1']) await client.adopt(id, { signal });
  const bytes = writeOnnx(doublingNetwork());
  const net = await file('net.onnx', bytes);
  const { sha256: model } = await client.uploadModel(bytes, { signal });
  const says = async (args: readonly string[], code: number, text: RegExp) => {
    const ended = await runHere([...args, '--host', url]);
    t.equal(ended.code, code, `${args.join(' ')}: ${ended.out}${ended.err}`);
    t.match(`${ended.out}${ended.err}`, text, args.join(' '));
  };
  // biome-ignore lint/suspicious/noExplicitAny: answers of several operations.
  const post = async (path: string, body: object, key = ''): Promise<any> => {
    const headers = { 'content-type': 'application/json', ...(key !== '' && { 'idempotency-key': key }) };
    return (
      await ownerFetch(`${url}/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    ).json();
  };
  const queue = (device: string, key = '') =>
    post('/measurements?wait=false', { model, device, protocol: 'quick' }, key);

  await says(['measure', net, '-d', 'fake-7'], 3, /DEVICE_UNKNOWN[\s\S]*Did you mean fake-0 or fake-1/);
  await says(['measure', net, '-d', 'tag=none'], 3, /no adopted device is tag=none \[DEVICE_UNKNOWN\]/);
  await says(['measure', net, '-d', 'shelf=2'], 2, /names no device[\s\S]*tag=shelf=2/);
  await says(['lease', 'acquire', 'tag=none'], 3, /DEVICE_UNKNOWN/);
  await says(['lease', 'renew', 'fake-1'], 3, /nobody holds the device fake-1[\s\S]*hilda lease list/);
  await says(['campaigns', 'show', '4'], 3, /NOT_FOUND[\s\S]*hilda campaigns list/);
  await says(['token', 'revoke', 'x'], 3, /no token x[\s\S]*hilda token list/);
  await says(['jobs', 'show', 'j99'], 3, /no job j99 \[NOT_FOUND\]/);
  await says(['search', 'pause', 'study-9'], 3, /STUDY_UNKNOWN[\s\S]*hilda search list/);

  // A holder that died: its lease runs out, and what waited begins by itself.
  await post('/leases', { device: 'fake-1', name: 'anna', ttlMs: 3000 });
  const { id: waits } = await queue('fake-1', 'once');
  t.equal((await queue('fake-1', 'once')).id, waits, 'asked twice, one job');
  t.match(await queue('fake-0', 'once'), { code: 'IDEMPOTENCY_CONFLICT', details: { jobId: waits } });
  await says(['jobs', 'list', '--state', 'queued'], 0, /fake-1 is held by lease:anna/);
  const { id: cancelled } = await queue('fake-1');
  await says(['jobs', 'cancel', cancelled], 0, /is cancelled/);
  await says(['jobs', 'cancel', cancelled], 1, /STATE_CONFLICT[\s\S]*wait or run/);
  const stateOf = async (id: string) => (await client.job(id, { signal })).state;
  await until(async () => (await stateOf(waits)) === 'done', 'what waited is done');
  t.match(await client.leases({ signal }), [], 'nobody holds it any longer');

  // A job whose model went while it waited.
  const { token } = await post('/leases', { device: 'fake-1', name: 'anna', ttlMs: 600_000 });
  const { id: orphan } = await queue('fake-1');
  await rm(join(dataDir, 'blobs', model.slice(0, 2), model.slice(2, 4), model));
  await post('/leases/fake-1/release', { token });
  await until(async () => (await stateOf(orphan)) === 'failed', 'the job without a model fails');
  await says(['jobs', 'show', orphan], 0, new RegExp(`NOT_FOUND: there is no model ${model}`));
  t.match(await queue('fake-1'), { status: 404, hint: /Upload it first/ });
  await client.uploadModel(bytes, { signal });
  await says(['jobs', 'retry', orphan], 0, /is queued/);
  await until(async () => (await stateOf(orphan)) === 'done', 'it is done with its model');

  // One study: told twice, told otherwise, paused and stopped out of turn.
  const spec = { name: 'walk', space: 'mbconv-fmnist', sampler: { name: 'external' }, protocol: 'quick' };
  const rest = { evaluator: { kind: 'external' }, devices: ['fake-0'], budget: { trials: 3 } };
  const { id } = await post('/studies', { ...spec, ...rest });
  await post(`/studies/${id}/ask`, { proposals: [{ architecture: [0, 0, 0, 0, 0, 0, 0] }] });
  const tell = (accuracy: number, number = 0) =>
    post(`/studies/${id}/tell`, { results: [{ number, values: { accuracy } }] });
  const [first, again] = [await tell(0.5), await tell(0.5)];
  t.match(first.trials, [{ state: 'complete', values: { accuracy: 0.5 } }]);
  t.same(again.trials[0].values, first.trials[0].values, 'told twice, kept once');
  t.match(await tell(0.6), { code: 'RESULT_CONFLICT' });
  t.match(await tell(51), { code: 'SPEC_INVALID', hint: /shares of 1/ });
  t.match(await tell(0.5, 7), { code: 'NOT_FOUND' });
  await says(['search', 'resume', id], 1, /is running \[STATE_CONFLICT\]/);
  await says(['search', 'pause', id], 0, /is paused/);
  await says(['search', 'resume', id], 0, /is running/);
  await says(['search', 'stop', id], 0, /is stopped/);
  await says(['search', 'resume', id], 1, /is stopped \[STATE_CONFLICT\]/);
});

t.test('search start --wait follows a study to its end', async (t) => {
  const { url, store, studies } = await openBench(t);
  const { file } = await inputs(t);
  const spec = await file('spec.yaml', 'name: followed');
  const waiting = start(['search', 'start', spec, '--wait', '--json', '--host', url]);
  let id: string | undefined;
  const stop = store.onEvents(() => {});
  while (!id) {
    await new Promise((resolve) => waiting.child.stderr.once('data', resolve));
    id = (await store.studies())[0]?.id;
  }
  for (let i = 0; i < 3; i++) await studies.finishTrial(id as never);
  await store.setStudyState(id as never, 'completed');
  stop();
  const { code, out, err } = await waiting.ended;
  t.equal(code, 0, err);
  t.match(JSON.parse(out), {
    schema: 'hilda.study.v1',
    study: { id, state: 'completed' },
    progress: { told: 3, frontSize: 3 },
  });
  t.match(err, /trials 3\/10 .* front 3, hypervolume 0\.3000, completed/);
});

t.test('a study that failed ends its command with a code and the reason', async (t) => {
  const { url, store } = await openBench(t);
  const { file } = await inputs(t);
  const spec = await file('spec.yaml', 'name: fruitless');
  for (const [state, reason] of [
    ['failed', 'DEVICE_FAILED: 10 of 10 trials failed'],
    ['stopped', 'stopped by the user'],
  ] as const) {
    const waiting = start(['search', 'start', spec, '--wait', '--json', '--host', url]);
    const id = await new Promise<string>((resolve) => {
      let text = '';
      waiting.child.stderr.on('data', (data) => {
        text += data;
        const [, found] = /^study (\S+): /m.exec(text) ?? [];
        if (found) resolve(found);
      });
    });
    await store.setStudyState(id as never, state, reason);
    const { code, out, err } = await waiting.ended;
    t.equal(code, errorTable.STATE_CONFLICT.exit, err);
    t.match(JSON.parse(out), { schema: 'hilda.study.v1', study: { id, state, reason } });
    t.match(JSON.parse(err.trim().split('\n').at(-1) as string), {
      code: 'STATE_CONFLICT',
      detail: `the study ended ${state}: ${reason}`,
    });
  }
});

t.test(
  'search front prints a front for each of several devices, with the unit of what a board counts',
  async (t) => {
    const { url, studies } = await openBench(t);
    const { id } = await studies.create({ name: 'two devices' });
    await studies.finishTrial(id, { 'cycles@pico': 2_933_688, 'accuracy@pico': 0.49 });
    const { out, code } = await run(['search', 'front', id, '--host', url]);
    t.equal(code, 0);
    const [host = '', board = ''] = out.split('\n\n');
    t.match(host, /^fake-0: max accuracy, min latencyUs\n.*ACCURACY +LATENCY [\s\S]* measured/);
    t.notMatch(host, /CYCLES/);
    t.match(
      board,
      /^pico: max accuracy@pico, min cycles@pico\n.*FLOAT ACCURACY +INT8 ACCURACY +CYCLES \(MODELLED\)/,
    );
    t.match(board, /50\.0 % \(47\.0 to 53\.0\) +49\.00 % +2\.93 M .*emulated/);
    t.notMatch(board, /LATENCY|\d us/);
    const json = JSON.parse((await run(['search', 'front', id, '--json', '--host', url])).out);
    t.same(
      json.devices.map(({ deviceId }: { deviceId: string }) => deviceId),
      ['fake-0', 'pico'],
    );
    await studies.finishTrial(id);
    t.match(
      (await run(['search', 'show', id, '--host', url])).out,
      /measured +fake-0 2, pico 1 \(1 missing\)/,
    );
  },
);

t.test('hilda up says where it is, refuses a taken port, ends on a signal', async (t) => {
  const dataDir = await temporaryFolder(t);
  const up = start(['up', '--port', '0', '--data', dataDir, '--json']);
  t.teardown(() => up.child.kill('SIGKILL'));
  const { schema, url } = JSON.parse(await up.firstLine) as { schema: string; url: string };
  t.equal(schema, 'hilda.up.v1');
  const devices = JSON.parse((await run(['devices', 'list', '--json', '--host', url])).out) as {
    devices: { kind: string }[];
  };
  t.ok(
    devices.devices.some(({ kind }) => kind === 'onnxruntime'),
    'this machine is seen',
  );
  t.equal((await fetch(`${url}/v1/openapi.json`)).status, 200);

  const blocker = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => blocker.once('listening', resolve));
  const other = await run([
    'up',
    '--port',
    String((blocker.address() as AddressInfo).port),
    '--data',
    await temporaryFolder(t),
    '--json',
  ]);
  blocker.close();
  t.equal(other.code, errorTable.PORT_IN_USE.exit);
  t.match(other.err, /PORT_IN_USE/);

  up.child.kill('SIGTERM');
  t.equal((await up.ended).code, 0);
});

t.test('export writes C that a compiler takes and that answers as the network does', async (t) => {
  const { folder, file } = await inputs(t);
  const model = await file('double it.onnx', writeOnnx(doublingNetwork()));
  const values = Array.from({ length: 256 }, (_, i) => i - 128);
  const calibration = await file('values.json', JSON.stringify(values));
  const out = join(folder, 'made');
  const args = ['export', model, '--format', 'c', '--out', out, '--calibration', calibration, '--json'];
  const { code, out: said, err } = await runHere(args);
  t.equal(code, 0, err);
  t.match(JSON.parse(said), { schema: 'hilda.source.v1' });
  const main = await file(
    'main.c',
    `#include <stdio.h>
#include "double_it.h"
static uint8_t arena[DOUBLE_IT_ARENA_BYTES] __attribute__((aligned(16)));
int main(void) {
  int8_t input[DOUBLE_IT_INPUT_BYTES], output[DOUBLE_IT_OUTPUT_BYTES];
  for (int i = 0; i < DOUBLE_IT_INPUT_BYTES; i++) input[i] = (int8_t)(i - 128);
  if (double_it_run(arena, input, output)) return 1;
  for (int i = 0; i < DOUBLE_IT_OUTPUT_BYTES; i++) {
    float x = DOUBLE_IT_INPUT_SCALE * (float)(input[i] - DOUBLE_IT_INPUT_ZERO_POINT);
    float y = DOUBLE_IT_OUTPUT_SCALE * (float)(output[i] - DOUBLE_IT_OUTPUT_ZERO_POINT);
    float off = y - (x > 0 ? 2 * x : 0);
    if (off > 2 || off < -2) { printf("%d: %f, not %f\\n", i, (double)y, (double)(2 * x)); return 2; }
  }
  printf("right\\n");
  return 0;
}
`,
  );
  const program = join(folder, 'program');
  const flags = [
    '-std=gnu11',
    '-O1',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-fsanitize=address,undefined',
    `-I${out}`,
  ];
  execFileSync('gcc', [...flags, main, join(out, 'double_it.c'), '-o', program], { stdio: 'inherit' });
  t.equal(execFileSync(program, { encoding: 'utf8' }), 'right\n');
  const refused = await runHere(['export', model, '--board', 'no-such-board', '--json']);
  t.equal(refused.code, errorTable.DEVICE_UNKNOWN.exit);
});

t.test('docs/errors.md explains every code as the table has it', async (t) => {
  const text = await readFile(join(root, 'docs/errors.md'), 'utf8');
  const rows = [...text.matchAll(/^\| `([A-Z_]+)` \| (\d+) \| (\d+) \| (yes|no) \| (.+) \| (.+) \|$/gm)];
  const documented = Object.fromEntries(
    rows.map(([, code, http, exit, retry, , hint]) => [
      code,
      { http: Number(http), exit: Number(exit), retryable: retry === 'yes', hint },
    ]),
  );
  t.same(documented, errorTable);
});

t.test('a page that came without its key is set beside the one that it may have been', async (t) => {
  const page = (id: string, firstSeenMs: number, present: boolean, label = 'Linux, Chrome 156') =>
    ({ id: id as DeviceId, kind: 'browser', label, present, firstSeenMs, state: 'adopted' }) as const;
  const older = page('browser-0a', 1, false);
  const came = page('browser-0b', 2, true);
  const joiners = [
    { id: 'browser-0a', state: 'active' },
    { id: 'browser-0b', state: 'active' },
  ] as const;
  const pairs = (...devices: Parameters<typeof lookAlikes>[0]) => lookAlikes(devices, joiners);
  t.same(pairs(older, came, page('browser-0b-webgpu', 2, true)), [['browser-0b', 'browser-0a']]);
  t.same(pairs({ ...older, present: true }, came), [], 'two that are here are two');
  t.same(pairs(older, { ...came, label: 'Android, Chrome 156' }), []);
  t.same(pairs({ ...older, firstSeenMs: 3 }, came), [], 'it was there first');
  t.same(pairs({ ...older, kind: 'agent' }, came), []);
  t.same(pairs({ ...older, state: 'ignored' }, came), [], 'set aside by people');
  t.same(pairs(older, { ...came, state: 'ignored' }), [], 'the stray was set aside');
  const revoked = [{ id: 'browser-0a', state: 'revoked' }] as const;
  t.same(lookAlikes([older, came], revoked), [], 'nobody can have a revoked key back');
  t.same(lookAlikes([older, came], []), [], 'nor one that nobody remembers');
});
