import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import onnxProto from 'onnx-proto';
import t from 'tap';
import { Daemon } from '../../daemon/cli/compose.js';
import { systemClock } from '../../daemon/core/clock.js';
import { npyBytes } from '../../daemon/data/write-npy.js';
import { runCommand } from './run-command.js';

const { onnx } = onnxProto;
const { DataType } = onnx.TensorProto;
t.setTimeout(300_000);

const value = (name: string, dims: readonly (number | string)[], elemType: number = DataType.FLOAT) => ({
  name,
  type: {
    tensorType: {
      elemType,
      shape: { dim: dims.map((dim) => (typeof dim === 'string' ? { dimParam: dim } : { dimValue: dim })) },
    },
  },
});
const modelOf = (graph: onnxProto.onnx.IGraphProto): Uint8Array =>
  onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: { name: 'g', ...graph },
  } as onnxProto.onnx.IModelProto).finish();

/** The size of its output tells which elements of x, [batch, T], were not zero. */
const nonZero = (elemType: number = DataType.FLOAT): Uint8Array =>
  modelOf({
    input: [value('x', ['batch', 'T'], elemType)],
    output: [value('y', [2, 'found'], DataType.INT64)],
    node: [{ opType: 'NonZero', input: ['x'], output: ['y'] }],
  });

/** A whole daemon, its host's CPU adopted, and files in a folder of their own. */
async function openDaemon() {
  const dir = await mkdtemp(join(tmpdir(), 'hilda-models-'));
  const daemon = new Daemon({ dataDir: join(dir, 'data'), port: 0, clock: systemClock });
  const url = await daemon.start(new AbortController().signal);
  const close = async () => {
    await daemon.stop();
    await rm(dir, { recursive: true, force: true });
  };
  const listed = JSON.parse((await runCommand(url, 'devices', 'list', '--json')).out);
  const cpu = listed.devices.find(({ id }: { id: string }) => id.startsWith('cpu-')).id as string;
  await runCommand(url, 'devices', 'adopt', cpu);
  const file = async (name: string, bytes: Uint8Array | string): Promise<string> => {
    await writeFile(join(dir, name), bytes);
    return join(dir, name);
  };
  return { url, dir, cpu, file, close };
}

t.test('open dimensions and inputs, by options and over HTTP', async (t) => {
  const { url, cpu, file, close } = await openDaemon();
  t.teardown(close);
  const floats = await file('floats.onnx', nonZero());
  const whole = await file('whole.onnx', nonZero(DataType.INT32));
  const elements = Float32Array.of(0, 1, 0, 2, 0, 3);
  const npy = await file('x.npy', npyBytes(elements, 'float32', [2, 3]));
  const raw = await file('x.bin', new Uint8Array(elements.buffer));
  const json = await file('x.json', '[[0, 1, 0], [2, 0, 3]]');
  /** Elements that were not zero; null where the command failed. */
  const found = async (model: string, ...options: string[]): Promise<number | string> => {
    const { code, out, err } = await runCommand(url, 'profile', model, '--device', cpu, '--json', ...options);
    if (code !== 0) return (JSON.parse(err) as { detail: string; hint: string; code: string }).code;
    return (JSON.parse(out) as { operators: { outputBytes: number }[] }).operators[0]!.outputBytes / 16;
  };
  const table: [model: string, options: string[], expected: number | string][] = [
    [floats, ['--dim', 'T=7'], 7],
    [floats, ['--dim', 'T=7', '--dim', 'batch=3'], 21],
    [floats, ['--shape', 'x=2,4'], 8],
    [floats, [], 'SHAPE_UNKNOWN'],
    [floats, ['--input', `x=${npy}`], 3],
    [floats, ['--input', `x=${json}`], 3],
    [floats, ['--shape', 'x=2,3', '--input', `x=${raw}`], 3],
    [floats, ['--shape', 'x=3,3', '--input', `x=${raw}`], 'DATA_INVALID'],
    [floats, ['--shape', 'x=2,2', '--input', `x=${npy}`], 'REQUEST_INVALID'],
    [floats, ['--dim', 'T=5', '--input', 'x=0'], 0],
    [floats, ['--dim', 'T=5', '--input', 'x=-1.5'], 5],
    [floats, ['--dim', 'T=5', '--input', 'x=range:1,2'], 5],
    [whole, ['--dim', 'T=5'], 0],
    [whole, ['--dim', 'T=5', '--input', 'x=range:3,3'], 5],
    [whole, ['--dim', 'T=5', '--input', 'x=true'], 5],
    [whole, ['--input', `x=${npy}`], 3],
    [whole, ['--dim', 'T=5', '--input', 'x=0.5'], 'DATA_INVALID'],
    [floats, ['--dim', 'T=5', '--input', 'x=text:word'], 'REQUEST_INVALID'],
    [floats, ['--dim', 'T=5', '--input', 'constructor=1'], 'REQUEST_INVALID'],
    [floats, ['--dim', 'width=5'], 'REQUEST_INVALID'],
    [floats, ['--dim', 'T=1073741824'], 'NETWORK_TOO_LARGE'],
    [floats, ['--input', 'x=/nowhere.npy'], 'NOT_FOUND'],
  ];
  for (const [model, options, expected] of table)
    t.equal(await found(model, ...options), expected, options.join(' '));
  for (const options of [
    ['--dim', 'T'],
    ['--dim', 'T=0'],
    ['--dim', 'T=1', '--dim', 'T=2'],
    ['--shape', 'x=1,a'],
    ['--input', 'x=range:2,1'],
    ['--input', 'x=range:1'],
    ['--input', 'x='],
  ])
    t.equal(
      (await runCommand(url, 'profile', floats, '--device', cpu, ...options)).code,
      2,
      options.join(' '),
    );
  const open = await runCommand(url, 'measure', floats, '--device', cpu);
  t.match(open.err, /dimension 1 "T" of x[\s\S]*--dim NAME=SIZE/, 'the hint names the options');
  t.notMatch(open.err, /fixed input shapes/);

  const args = ['measure', floats, '--device', cpu, '--protocol', 'quick', '--json'];
  const measured = JSON.parse((await runCommand(url, ...args, '--dim', 'T=4', '--input', 'x=range:0,9')).out);
  const inputs = [{ name: 'x', dtype: 'float32', dims: [1, 4], values: 'from 0 to 9' }];
  t.same(measured.measurement.manifest.inputs, inputs, 'what was used is kept');
  const stored = await fetch(`${url}/v1/measurements/${measured.measurement.id}`);
  t.same(((await stored.json()) as { manifest: { inputs: unknown } }).manifest.inputs, inputs);

  const post = async (path: string, body: string | Uint8Array) => {
    const response = await fetch(`${url}/v1${path}`, {
      method: 'POST',
      body: typeof body === 'string' ? body : Buffer.from(body),
    });
    // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, asserted on.
    return (await response.json()) as any;
  };
  const { sha256: model } = await post('/models', nonZero());
  const profile = async (given: object) => {
    const answer = await post('/profiles', JSON.stringify({ model, device: cpu, ...given }));
    return answer.code ?? answer.operators[0].outputBytes / 16;
  };
  const { sha256: blob, bytes } = await post('/blobs', npyBytes(elements, 'float32', [2, 3]));
  t.equal(bytes, 128 + 24);
  t.equal(await profile({ dims: { batch: 2, T: 3 } }), 6);
  t.equal(await profile({ shapes: { x: [1, 2] }, inputs: { x: { values: [0, 1] } } }), 1);
  t.equal(await profile({ shapes: { x: [1, 2] }, inputs: { x: { values: [0] } } }), 'REQUEST_INVALID');
  t.equal(await profile({ inputs: { x: { blob, format: 'npy' } } }), 3);
  t.equal(await profile({ inputs: { x: { blob: 'f'.repeat(64), format: 'npy' } } }), 'NOT_FOUND');
  t.equal(await profile({ dims: { T: 2 }, inputs: { x: { range: [2, 1] } } }), 'REQUEST_INVALID');
  t.equal(await profile({ dims: { T: 0 } }), 'REQUEST_INVALID');
});
