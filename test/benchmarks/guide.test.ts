import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { parse } from 'yaml';
import { expandFiles } from '../../daemon/cli/expand-files.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { startTestDaemon } from '../../daemon/testing/test-daemon.js';
import { virtualFleet } from '../../daemon/testing/virtual-fleet.js';
import { runCommand } from '../cli/run-command.js';
import { doublingNetwork } from '../contract/device-contract.js';
import { ownerFetch } from '../owner-fetch.js';
import { until } from '../until.js';

t.setTimeout(600_000);
const root = resolve(fileURLToPath(new URL('../../..', import.meta.url)));

t.test('every command of the guide does what it says', async (t) => {
  const guide = await readFile(join(root, 'docs/guides/benchmark-a-fleet.md'), 'utf8');
  const blocks = [...guide.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, kind, text = '']) => ({
    kind,
    text,
  }));
  const [nightly, duel, , workflow] = blocks.filter(({ kind }) => kind === 'yaml').map(({ text }) => text);
  const commands = blocks
    .filter(({ kind }) => kind === 'sh')
    .flatMap(({ text }) => text.trim().split('\n'))
    .map((line) => line.replace(/ \|\| .*/, ''));
  t.ok(commands.length >= 10);

  const dir = await mkdtemp(join(tmpdir(), 'hilda-guide-'));
  const before = process.cwd();
  process.chdir(dir);
  const { url, client, stop } = await startTestDaemon({ drivers: [virtualFleet(2)] });
  t.teardown(async () => {
    process.chdir(before);
    await stop();
    await rm(dir, { recursive: true, force: true });
  });
  const { signal } = new AbortController();
  for (const { id } of await client.devices({ signal })) await client.adopt(id, { signal });
  await mkdir('models');
  await writeFile('models/small.onnx', writeOnnx(doublingNetwork()));
  await writeFile('models/wide.onnx', writeOnnx(doublingNetwork(64, 64)));
  await writeFile('nightly.yaml', nightly as string);
  await writeFile('duel.yaml', duel as string);
  const ended = new Map<string, Awaited<ReturnType<typeof runCommand>>>();
  for (const command of commands) {
    const [name, ...args] = (command.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replaceAll('"', ''));
    t.equal(name, 'hilda');
    ended.set(command, await runCommand(url, ...args));
  }
  for (const [command, { code, err }] of ended) {
    const isDuel = command.includes('duel.yaml');
    t.equal(code, isDuel ? 6 : 0, `${command}: ${err}`);
    if (isDuel) t.match(err, /LIMIT_BROKEN|wide against small/);
  }
  t.match(ended.get('hilda bench list')?.out, /nightly/);
  t.match(await readFile('report.xml', 'utf8'), /<testsuites tests="\d+" failures="0"/);
  t.match(await readFile('report.md', 'utf8'), /^## nightly, run 2: passed/);
  t.match(await readFile('report.csv', 'utf8'), /^run,suite,network/);

  // The workflow runs commands of the guide.
  const { jobs } = parse(workflow as string) as { jobs: { benchmark: { steps: { run?: string }[] } } };
  const runs = jobs.benchmark.steps.flatMap(({ run }) => run ?? []).filter((run) => run.startsWith('hilda'));
  t.equal(runs.length, 1);
  t.ok(commands.includes(runs[0] as string), String(runs[0]));

  // A suite that changes changes no run, and a run that is worse than its baseline is refused.
  await writeFile('models/small.onnx', writeOnnx(doublingNetwork(64, 64)));
  const worse = await runCommand(url, 'bench', 'run', 'nightly.yaml', '--compare', 'baseline');
  t.equal(worse.code, 6);
  t.match(worse.err, /small on fake-/);
  await writeFile('nightly.yaml', `${nightly}\nunknown: 1\n`);
  const wrong = await runCommand(url, 'bench', 'run', 'nightly.yaml');
  t.equal(wrong.code, 2);
  t.match(wrong.err, /unknown/);
  t.equal((await runCommand(url, 'bench', 'show', '2')).code, 0);
  t.equal((await runCommand(url, 'bench', 'compare', '99')).code, 3);
  const list = JSON.parse((await runCommand(url, 'bench', 'list', '--json', '--limit', '1')).out);
  t.equal(list.schema, 'hilda.benchmark-runs.v1');
  t.equal(list.runs.length, 1);
  await client.addSchedule(
    { name: 'each second', kind: 'health', cron: '* * * * * *', timezone: 'UTC', devices: ['tag=nightly'] },
    { signal },
  );
  await until(
    async () => (await client.firings('each second', { signal })).some(({ outcome }) => outcome === 'done'),
    'a schedule fires',
  );
  const [fired] = (await client.firings('each second', { signal })).filter(
    ({ outcome }) => outcome === 'done',
  );
  t.match(fired?.detail, { checked: 2, fit: 2, unfit: [] });
  await client.pauseSchedule('each second', { signal });
  const scraped = await ownerFetch(`${url}/metrics`);
  t.match(scraped.headers.get('content-type'), 'text/plain');
  const lines = (await scraped.text()).split('\n');
  const names = new Set(lines.flatMap((line) => /^(hilda_\w+)[{ ]/.exec(line)?.[1] ?? []));
  t.ok(lines.some((line) => /^hilda_benchmark_cost\{.*network="wide".*metric="latencyUs"\} \d/.test(line)));
  t.ok(lines.includes('hilda_devices{state="adopted"} 2'));
  t.equal((await fetch(`${url}/metrics`)).status, 401, 'a stranger reads nothing');
  const dashboard = JSON.parse(await readFile(join(root, 'docs/examples/grafana-fleet.json'), 'utf8'));
  const expressions = (dashboard.panels as { targets: { expr: string }[] }[]).flatMap(({ targets }) =>
    targets.map(({ expr }) => expr),
  );
  const asked = expressions.flatMap((expr) => expr.match(/hilda_\w+/g) ?? []);
  t.ok(asked.length >= 9);
  t.same(
    asked.filter((name) => !names.has(name)),
    [],
    'the dashboard asks for nothing else',
  );
  const detached = await runCommand(url, 'bench', 'run', 'duel.yaml', '--detach', '--json');
  const { run } = JSON.parse(detached.out);
  const cancelled = await runCommand(url, 'bench', 'cancel', run.id);
  t.match(cancelled, { code: /0|1/ });
});

t.test('patterns of files', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-files-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  await mkdir(join(dir, 'a/b'), { recursive: true });
  for (const name of ['x.onnx', 'y.onnx', '.hidden.onnx', 'a/x1.onnx', 'a/b/x2.onnx', 'a/[x].onnx'])
    await writeFile(join(dir, name), '');
  const found = async (pattern: string) =>
    (await expandFiles(pattern, dir)).map((path) => path.slice(dir.length + 1));
  t.same(await found('*.onnx'), ['x.onnx', 'y.onnx']);
  t.same(await found('**/x?.onnx'), ['a/b/x2.onnx', 'a/x1.onnx']);
  t.same(await found('**/*.onnx'), ['a/[x].onnx', 'a/b/x2.onnx', 'a/x1.onnx', 'x.onnx', 'y.onnx']);
  t.same(await found('a/[x].onnx'), ['a/[x].onnx'], 'a name that is there is itself');
  t.same(await found('*/b/../*.onnx'), ['x.onnx', 'y.onnx'].slice(0, 0).concat(await found('*/*.onnx')));
  await t.rejects(expandFiles('none*.onnx', dir), { code: 'NOT_FOUND' });
});
