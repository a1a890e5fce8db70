import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { npyBytes } from '../../daemon/data/write-npy.js';
import { OnnxRuntimeDriver } from '../../daemon/devices/onnxruntime/driver.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { startTestDaemon } from '../../daemon/testing/test-daemon.js';
import { runCommand } from '../cli/run-command.js';
import { until } from '../until.js';
import { versionOf, weightsOf } from './bench.js';
import { FlashDriver } from './flash-driver.js';

t.setTimeout(600_000);
const root = resolve(fileURLToPath(new URL('../../..', import.meta.url)));
const { signal } = new AbortController();

t.test('every command of the guide does what it says', async (t) => {
  const guide = await readFile(join(root, 'docs/rollouts.md'), 'utf8');
  const blocks = [...guide.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, kind, text = '']) => ({
    kind,
    text,
  }));
  const spec = blocks.find(({ kind }) => kind === 'yaml')?.text as string;
  const commands = blocks.filter(({ kind }) => kind === 'sh').flatMap(({ text }) => text.trim().split('\n'));
  t.ok(commands.length >= 9);
  const dir = await mkdtemp(join(tmpdir(), 'hilda-guide-'));
  const before = process.cwd();
  process.chdir(dir);
  const driver = new FlashDriver({
    folder: join(dir, 'flash'),
    ids: ['fake-0', 'fake-1', 'fake-2', 'fake-3'],
    faults: { 'fake-2': 'wrong' },
    goodWeights: weightsOf(versionOf(2)),
  });
  const { url, client, stop } = await startTestDaemon({ drivers: [driver] });
  t.teardown(async () => {
    process.chdir(before);
    await stop();
    await rm(dir, { recursive: true, force: true });
  });
  for (const { id } of await client.devices({ signal })) await client.adopt(id, { signal });
  await mkdir('models');
  await writeFile('models/small.onnx', writeOnnx(versionOf(2)));
  await writeFile('models/other.onnx', writeOnnx(versionOf(3)));
  await writeFile('keyword.yaml', spec);
  const ended = new Map<string, Awaited<ReturnType<typeof runCommand>>>();
  for (const command of commands) {
    const [name, ...args] = command.split(' ');
    t.equal(name, 'hilda');
    ended.set(command, await runCommand(url, ...args));
    if (/status|list|history|show/.test(command)) t.equal((await runCommand(url, ...args, '--json')).code, 0);
  }
  for (const [command, { code, out, err }] of ended) {
    const stops = command.includes('other.onnx');
    t.equal(code, stops ? 6 : 0, `${command}: ${err}`);
    if (stops) t.match(err, /fake-2: the answer to test input 1 is wrong/);
    if (command === 'hilda rollout list')
      t.match(out, /rollout-2 +keyword v2 +stopped[\s\S]*rollout-1 +keyword v1 +done/);
    if (command === 'hilda rollout status rollout-2') t.match(out, /fake-2 +\d +restored .*SELF_TEST_FAILED/);
    if (command === 'hilda rollout history rollout-2')
      t.match(out, /fake-2 +rolling-back +keyword v2 +rollout-2/);
    if (command === 'hilda devices show fake-0') t.match(out, /runs +keyword v2, by rollout-2, since/);
  }
  // A device of a rollout takes no deployment by hand until the rollout ends.
  const deploy = ['deploy', 'models/small.onnx', '-d', 'fake-0'];
  t.match(await runCommand(url, ...deploy), { code: 1, err: /part of rollout-2/ });
  t.equal((await runCommand(url, 'rollout', 'resume', 'rollout-2')).code, 0);
  await until(async () => (await client.rollout('rollout-2', { signal })).state === 'done', 'it ends');
  t.match(await runCommand(url, 'rollout', 'pause', 'rollout-2'), { code: 1, err: /is done/ });
  t.match(await runCommand(url, 'rollout', 'abort', 'rollout-9', '--keep'), {
    code: 3,
    err: /no such rollout/,
  });
  t.equal((await runCommand(url, ...deploy)).code, 0);
  t.match((await client.device('fake-0', { signal })).running, {
    name: 'doubling',
    version: null,
    rollout: null,
  });
  t.match((await runCommand(url, 'rollout', 'history', 'fake-0')).out, /deployed +doubling +hand/);
});

t.test('a host keeps the network, and hilda run serves the version that is live', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-kept-'));
  const { url, client, stop } = await startTestDaemon({ drivers: [new OnnxRuntimeDriver()] });
  t.teardown(async () => {
    await stop();
    await rm(dir, { recursive: true, force: true });
  });
  const [device] = await client.devices({ signal });
  const id = device?.id ?? '';
  await client.adopt(id, { signal });
  const input = join(dir, 'x.npy');
  await writeFile(
    input,
    npyBytes(
      Float32Array.from({ length: 256 }, () => 1),
      'float32',
      [1, 4, 8, 8],
    ),
  );
  const answer = async (): Promise<number | undefined> => {
    const { code, out, err } = await runCommand(url, 'run', '-d', id, '--input', input, '--json');
    if (code !== 0) throw new Error(err);
    const { outputs } = JSON.parse(out) as { outputs: Record<string, { data: number[] }> };
    return Object.values(outputs)[0]?.data[0];
  };
  await t.rejects(answer(), /nothing (was|can be) deployed/);
  // Times of a busy machine promise little: what is tested here is which network answers.
  const promise = [{ metric: 'latencyUs', low: 0.001, high: 1e7 }];
  const protocol = 'quick';
  for (const factor of [2, 3]) {
    const { sha256: model } = await client.uploadModel(writeOnnx(versionOf(factor)), { signal });
    const { id: rollout } = await client.startRollout(
      { name: 'kept', model, devices: id, promise, protocol, stop: { failed: 1 } },
      { signal },
    );
    await until(async () => (await client.rollout(rollout, { signal })).endedMs !== null, 'it ends');
    const [standing] = await client.rolloutDevices(rollout, undefined, { signal });
    if (standing?.step !== 'live') {
      // A machine too busy for a valid measurement puts it back: then the former version answers.
      t.match(standing, { step: 'restored', reason: { code: 'MEASUREMENT_INVALID' } });
      continue;
    }
    t.equal(await answer(), factor);
    t.match((await client.device(id, { signal })).running, { name: 'kept', version: factor - 1, rollout });
    if (factor === 2) continue;
    t.match(standing.before, { name: 'kept', version: 1 });
  }
});
