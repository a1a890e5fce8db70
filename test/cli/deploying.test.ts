import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import sharp from 'sharp';
import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { npyBytes } from '../../daemon/data/write-npy.js';
import type { Calibrating, DeployedPort, Device, Tensors } from '../../daemon/devices/contract.js';
import { FakeDriver } from '../../daemon/devices/fake/driver.js';
import type { DType } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { writeOnnx } from '../../daemon/network/write-onnx.js';
import { Daemon } from '../../daemon/process/daemon.js';
import { ownerFetch } from '../owner-fetch.js';
import { runCommand } from './run-command.js';

t.setTimeout(300_000);

/** A fake with a flash: it keeps what it was calibrated on, and answers with its inputs. */
class FlashDriver extends FakeDriver {
  examples: Readonly<Record<string, readonly number[]>>[] = [];
  ranges: Calibrating['ranges'];
  fed: Tensors = {};

  override async open(...args: Parameters<FakeDriver['open']>): Promise<Device> {
    const device = await super.open(...args);
    const more: Pick<Device, 'deploy' | 'runDeployed'> = {
      deploy: async (network, { calibration = [], ranges }) => {
        this.examples = [];
        this.ranges = ranges;
        if (!ranges && !('feeds' in calibration)) throw new Error('the daemon streams');
        for await (const feed of 'feeds' in calibration ? calibration.feeds() : [])
          this.examples.push(
            Object.fromEntries(
              Object.entries(feed).map(([name, { data }]) => [
                name,
                Array.from(data as ArrayLike<number>, Number),
              ]),
            ),
          );
        const [input, ...moreInputs] = network.inputs.map(
          ({ name, dims }): DeployedPort => ({
            name,
            dims: dims as number[],
            layout: 'row-major',
            quantisation: { scale: 1, zeroPoint: 0 },
          }),
        );
        if (!input) throw new Error('a network without inputs');
        return {
          structureHash: 's',
          weightsHash: 'w',
          programCrc: 7,
          flashBytes: 100,
          arenaBytes: 200,
          inputOffset: null,
          inputBytes: 4,
          outputOffset: 0,
          outputBytes: 4,
          input,
          output: input,
          moreInputs,
          moreOutputs: [],
          calibratedOn: ranges ? ranges.source : `${this.examples.length} inputs`,
        };
      },
      runDeployed: async (_, inputs) => {
        this.fed = inputs;
        return inputs;
      },
    };
    return Object.assign(device, more);
  }
}

/** y = a + b, each [1, 2]; the types as given. */
function sum(type: DType = 'float32'): Uint8Array {
  const b = new GraphBuilder({ name: 'sum' });
  b.output(b.node('Add', [b.input('a', type, [1, 2]), b.input('b', type, [1, 2])]), 'y');
  return writeOnnx(b.build());
}

function image(): Uint8Array {
  const b = new GraphBuilder({ name: 'image' });
  b.output(b.relu(b.input('x', 'float32', [1, 3, 2, 2])), 'y');
  return writeOnnx(b.build());
}

async function openDaemon(driver: FlashDriver) {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-deploy-'));
  const daemon = new Daemon({ dataDir: join(dir, 'data'), port: 0, clock: systemClock, drivers: [driver] });
  const url = await daemon.start(new AbortController().signal);
  t.teardown(async () => {
    await daemon.stop();
    await rm(dir, { recursive: true, force: true });
  });
  await runCommand(url, 'devices', 'adopt', 'fake-0');
  const file = async (name: string, bytes: Uint8Array | string): Promise<string> => {
    await writeFile(join(dir, name), bytes);
    return join(dir, name);
  };
  return { url, dir, file };
}

t.test('calibration and inputs reach the board, from every kind of file', async (t) => {
  const driver = new FlashDriver();
  const { url, dir, file } = await openDaemon(driver);
  const model = await file('sum.onnx', sum());
  const [a, b] = [Float32Array.of(1, 2, 3, 4), Float32Array.of(5, 6, 7, 8)];
  const npyA = npyBytes(a, 'float32', [2, 1, 2]);
  const npyB = npyBytes(b, 'float32', [2, 2]);
  const files = {
    a: await file('a.npy', npyA),
    b: await file('b.npy', npyB),
    both: await file('both.npz', zipSync({ 'a.npy': npyA, 'b.npy': npyB })),
    named: await file('named.json', '{"a": [[1, 2], [3, 4]], "b": [[5, 6], [7, 8]]}'),
    flat: await file('flat.json', '[1, 2, 5, 6]'),
    raw: await file('raw.bin', new Uint8Array(Float32Array.of(1, 2, 5, 6, 3, 4, 7, 8).buffer)),
    short: await file('short.json', '[1, 2, 5]'),
    one: await file('one.npy', npyBytes(Float32Array.of(9, 9), 'float32', [1, 2])),
    text: await file('text.json', '[1, "2"]'),
  };
  const deploy = async (path: string, ...options: string[]) => {
    const { code, out, err } = await runCommand(
      url,
      'deploy',
      path,
      '--device',
      'fake-0',
      '--json',
      ...options,
    );
    return code === 0
      ? JSON.parse(out).deployment.calibratedOn
      : JSON.parse(err.split('\n').at(-2) as string).code;
  };
  const pairs = [
    { a: [1, 2], b: [5, 6] },
    { a: [3, 4], b: [7, 8] },
  ];
  const table: [sources: string[], expected: string, examples?: object[]][] = [
    [[`a=${files.a}`, `b=${files.b}`], '2 inputs', pairs],
    [[files.both], '2 inputs', pairs],
    [[files.named], '2 inputs', pairs],
    [[files.raw], '2 inputs', pairs],
    [[files.flat], '1 inputs', pairs.slice(0, 1)],
    [[files.flat, files.raw], '3 inputs', [pairs[0] as object, ...pairs]],
    [[`a=${files.one}`, `a=${files.a}`, `b=${files.b}`, `b=${files.one}`], '3 inputs'],
    [[`a=${files.a}`], 'REQUEST_INVALID'],
    [[`a=${files.a}`, `b=${files.one}`], 'REQUEST_INVALID'],
    [[`a=${files.a}`, files.flat], 'REQUEST_INVALID'],
    [[files.short], 'REQUEST_INVALID'],
    [[files.text], 'DATA_INVALID'],
    [[join(dir, 'nowhere.npy')], 'NOT_FOUND'],
  ];
  for (const [sources, expected, examples] of table) {
    t.equal(await deploy(model, ...sources.flatMap((source) => ['-c', source])), expected, sources.join(' '));
    if (examples) t.same(driver.examples, examples, sources.join(' '));
  }
  t.equal(await deploy(model), '0 inputs', 'none at all: the board draws its own');

  const whole = await file('whole.onnx', sum('int64'));
  t.equal(await deploy(whole, '-c', files.both), '2 inputs');
  t.same(driver.examples, pairs, 'numbers become the type of the input');
  const half = await file('half.npy', npyBytes(Float32Array.of(0.5, 1), 'float32', [1, 2]));
  t.equal(await deploy(whole, '-c', `a=${half}`, `b=${half}`), 'DATA_INVALID', 'but never lose a fraction');
  t.equal(await deploy(model, '--input', 'b=4', '-c', files.a), '2 inputs');
  t.same(driver.examples, [{ a: [1, 2] }, { a: [3, 4] }], 'an input with a value is none on the board');
  t.equal(await deploy(model, '--input', 'a=1', '--input', 'b=1'), 'REQUEST_INVALID');

  const folder = join(dir, 'images');
  await mkdir(folder);
  for (const [name, value] of [
    ['1.png', 0],
    ['2.png', 255],
  ] as const)
    await sharp({ create: { width: 4, height: 4, channels: 3, background: { r: value, g: value, b: 51 } } })
      .png()
      .toFile(join(folder, name));
  const pictures = await file('image.onnx', image());
  t.equal(await deploy(pictures, '-c', folder, '--mean', '0.5,0.5,0', '--std', '0.5,0.5,1'), '2 inputs');
  const planes = driver.examples.map(({ x = [] }) => [x[0], x[4], Number(x[8]?.toFixed(4))]);
  t.same(planes, [
    [-1, -1, 0.2],
    [1, 1, 0.2],
  ]);
  t.equal(await deploy(pictures, '-c', folder, '--mean', '0.5'), 'DATA_INVALID');

  const ranges = {
    schema: 'hilda.ranges.v1',
    source: 'a test',
    sets: [{ structureHash: 's', weightsHash: 'w', ranges: [['__proto__', -1, 0.1]] }],
  };
  t.equal(await deploy(model, '--ranges', await file('ranges.json', JSON.stringify(ranges))), 'a test');
  t.same(driver.ranges, ranges);
  t.equal(await deploy(model, '--ranges', files.flat), 'REQUEST_INVALID');
  t.equal(await deploy(model, '--ranges', files.flat, '-c', files.flat), 'USAGE_INVALID');
  t.equal((await runCommand(url, 'deploy', '--device', 'fake-0')).code, 2, 'a model or a trial');

  await deploy(model);
  const run = async (...inputs: string[]) => {
    const options = inputs.flatMap((input) => ['--input', input]);
    const { code, out, err } = await runCommand(url, 'run', '--device', 'fake-0', '--json', ...options);
    return code === 0 ? JSON.parse(out).outputs : JSON.parse(err).code;
  };
  const fed = { a: { dims: [1, 2], data: [1, 2] }, b: { dims: [1, 2], data: [5, 6] } };
  t.same(await run(files.flat), fed);
  t.same(await run(`a=${files.one}`, `b=${files.one}`), {
    a: { dims: [1, 2], data: [9, 9] },
    b: { dims: [1, 2], data: [9, 9] },
  });
  t.equal(await run(files.both), 'REQUEST_INVALID', 'two examples');
  t.equal(await run(files.short), 'REQUEST_INVALID');

  const post = async (path: string, body: object) => {
    const answer = await ownerFetch(`${url}/v1${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return (await answer.json()) as { code?: string; calibratedOn?: string };
  };
  const uploaded = await ownerFetch(`${url}/v1/models`, { method: 'POST', body: Buffer.from(sum()) });
  const { sha256 } = (await uploaded.json()) as { sha256: string };
  const request = { model: sha256, device: 'fake-0' };
  t.match(await post('/deployments', { ...request, calibration: [[1, 2, 5, 6]] }), {
    calibratedOn: '1 inputs',
  });
  t.match(await post('/deployments', { ...request, calibration: [[1]] }), { code: 'REQUEST_INVALID' });
  const odd = new GraphBuilder({ name: 'odd' });
  odd.output(odd.relu(odd.input('__proto__', 'float32', [1, 2])), 'y');
  const closed = odd.build();
  const open = closed.inputs.map((input) => ({ ...input, dims: ['__proto__', 2] }));
  const outputs = closed.outputs.map((output) => ({ ...output, dims: ['__proto__', 2] }));
  const oddly = await ownerFetch(`${url}/v1/models`, {
    method: 'POST',
    body: Buffer.from(writeOnnx({ ...closed, inputs: open, outputs })),
  });
  const own = { model: ((await oddly.json()) as { sha256: string }).sha256, device: 'fake-0' };
  for (const fixed of [{ dims: { ['__proto__']: 3 } }, { shapes: { ['__proto__']: [3, 2] } }])
    t.match(await post('/deployments', { ...own, ...fixed }), { input: { dims: [3, 2] } }, 'any name is one');
  t.match(await post('/deployments', { ...own, dims: { ['__proto__']: 'x' } }), { code: 'REQUEST_INVALID' });
  const absent = { blobs: ['f'.repeat(64)] };
  t.match(await post('/deployments', { ...request, calibration: absent }), { code: 'NOT_FOUND' });
});

t.test('a large set goes in pieces', async (t) => {
  const driver = new FlashDriver();
  const { url, file } = await openDaemon(driver);
  const side = 100;
  const b = new GraphBuilder({ name: 'large' });
  b.output(b.relu(b.input('x', 'float32', [1, 3, side, side])), 'y');
  const count = 150;
  const values = new Float32Array(count * 3 * side * side);
  for (let i = 0; i < count; i++) values[i * 3 * side * side] = i;
  const set = await file('set.npy', npyBytes(values, 'float32', [count, 3, side, side]));
  const model = await file('large.onnx', writeOnnx(b.build()));
  const { code, err } = await runCommand(url, 'deploy', model, '--device', 'fake-0', '-c', set);
  t.equal(code, 0, err);
  t.same(
    driver.examples.map(({ x }) => x?.[0]),
    Array.from({ length: count }, (_, i) => i),
  );
});
