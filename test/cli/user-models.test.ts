import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import onnxProto from 'onnx-proto';
import t from 'tap';
import { systemClock } from '../../daemon/core/clock.js';
import { npyBytes } from '../../daemon/data/write-npy.js';
import { Daemon } from '../../daemon/process/daemon.js';
import { ownerFetch } from '../owner-fetch.js';
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
  const stored = await ownerFetch(`${url}/v1/measurements/${measured.measurement.id}`);
  t.same(((await stored.json()) as { manifest: { inputs: unknown } }).manifest.inputs, inputs);

  const hashed = onnx.ModelProto.encode({
    irVersion: 8,
    opsetImport: [
      { domain: '', version: 17 },
      { domain: 'com.microsoft', version: 1 },
    ],
    graph: {
      name: 'g',
      input: [value('x', [4], DataType.INT32)],
      output: [value('y', [4], DataType.UINT32)],
      node: [{ opType: 'MurmurHash3', domain: 'com.microsoft', input: ['x'], output: ['y'] }],
    },
  } as unknown as onnxProto.onnx.IModelProto).finish();
  const unknown = await file('hash.onnx', hashed);
  const told = await runCommand(url, 'measure', unknown, '--device', cpu, '--protocol', 'quick');
  t.match(told.out, /uncounted +MurmurHash3: MACs unknown/, told.err);

  const post = async (path: string, body: string | Uint8Array) => {
    const response = await ownerFetch(`${url}/v1${path}`, {
      method: 'POST',
      ...(typeof body === 'string' && { headers: { 'content-type': 'application/json' } }),
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

/** y = x + w, whose constants lie in the files that `where` names. */
function withExternal(where: readonly Readonly<Record<string, string>>[], dims: number[] = [4]): Uint8Array {
  const last = where.length - 1;
  return modelOf({
    input: [value('x', dims)],
    output: [value('y', dims)],
    node: where.map((_, i) => ({
      opType: 'Add',
      input: [i === 0 ? 'x' : `s${i - 1}`, `w${i}`],
      output: [i === last ? 'y' : `s${i}`],
    })),
    initializer: where.map((fields, i) => ({
      name: `w${i}`,
      dataType: DataType.FLOAT,
      dims,
      dataLocation: 1,
      externalData: Object.entries(fields).map(([key, value]) => ({ key, value })),
    })),
  });
}

t.test('weights in other files', async (t) => {
  const { url, dir, cpu, file, close } = await openDaemon();
  t.teardown(close);
  await mkdir(join(dir, 'net', 'weights'), { recursive: true });
  await file('net/weights/a.bin', new Uint8Array(Float32Array.of(9, 9, 1, 2, 3, 4).buffer));
  await file('secret.bin', new Uint8Array(16));
  await symlink(join(dir, 'secret.bin'), join(dir, 'net', 'link.bin'));
  await symlink(join(dir, 'net/weights/a.bin'), join(dir, 'net', 'inside.bin'));
  const inside = { location: 'weights/a.bin', offset: '8', length: '16' };
  const model = await file('net/net.onnx', withExternal([inside, { location: './inside.bin', offset: '8' }]));
  const profile = async (path: string) => {
    const { code, out, err } = await runCommand(url, 'profile', path, '--device', cpu, '--json');
    return code === 0 ? JSON.parse(out) : JSON.parse(err).code;
  };
  const first = await profile(model);
  t.same(
    first.operators.map(({ op }: { op: string }) => op),
    ['Add', 'Add'],
  );
  t.equal((await profile(join(dir, 'net'))).model, first.model, 'a folder, and the same files: the same id');
  const exported = await runCommand(url, 'export', model, '--out', dir, '--json');
  t.equal(exported.code, 0, exported.err);

  const refusals: [where: Readonly<Record<string, string>>, code: string][] = [
    [{ location: '../secret.bin' }, 'ONNX_INVALID'],
    [{ location: join(dir, 'secret.bin') }, 'ONNX_INVALID'],
    [{ location: 'link.bin' }, 'ONNX_INVALID'],
    [{ location: 'weights/../../secret.bin' }, 'ONNX_INVALID'],
    [{ location: '' }, 'ONNX_INVALID'],
    [{ location: 'missing.bin' }, 'EXTERNAL_DATA_MISSING'],
    [{ location: 'weights' }, 'EXTERNAL_DATA_MISSING'],
    [{ location: 'weights/a.bin', offset: '16' }, 'ONNX_INVALID'],
    [{ location: 'weights/a.bin', offset: '-8' }, 'ONNX_INVALID'],
    [{ location: 'weights/a.bin', length: '12' }, 'ONNX_INVALID'],
  ];
  for (const [where, code] of refusals)
    t.equal(await profile(await file('net/net.onnx', withExternal([where]))), code, JSON.stringify(where));

  const upload = async (files: Readonly<Record<string, Uint8Array>> | Uint8Array) => {
    const body = Buffer.from(files instanceof Uint8Array ? files : zipSync(files));
    const answer = await ownerFetch(`${url}/v1/models`, { method: 'POST', body });
    // biome-ignore lint/suspicious/noExplicitAny: answers of two shapes, asserted on.
    const { code, sha256 } = (await answer.json()) as any;
    return code ?? sha256;
  };
  const weights = new Uint8Array(Float32Array.of(1, 2, 3, 4).buffer);
  const one = withExternal([{ location: 'w.bin' }]);
  const good = { 'folder/net.onnx': one, 'folder/w.bin': weights };
  t.match(await upload(good), /^[0-9a-f]{64}$/);
  const archive = zipSync(good);
  const bytes = 4 * 2 ** 16;
  const large = withExternal(Array(5000).fill({ location: 'w.bin' }), [2 ** 16]);
  const archives: [what: string, files: Readonly<Record<string, Uint8Array>> | Uint8Array, code: string][] = [
    ['no file beside', { 'net.onnx': one }, 'EXTERNAL_DATA_MISSING'],
    ['a file elsewhere', { 'a/net.onnx': one, 'w.bin': weights }, 'EXTERNAL_DATA_MISSING'],
    ['two models', { 'a.onnx': one, 'b.onnx': one, 'w.bin': weights }, 'ONNX_INVALID'],
    ['no model', { 'w.bin': weights }, 'ONNX_INVALID'],
    ['a name outside', { 'net.onnx': one, '../w.bin': weights }, 'DATA_INVALID'],
    ['a short file', { 'net.onnx': one, 'w.bin': weights.subarray(4) }, 'ONNX_INVALID'],
    ['cut short', archive.subarray(0, archive.length - 30), 'DATA_INVALID'],
    ['damaged', Uint8Array.from(archive, (byte, i) => (i === 60 ? byte ^ 1 : byte)), 'DATA_INVALID'],
    [
      'one file for far too many constants',
      { 'net.onnx': large, 'w.bin': new Uint8Array(bytes) },
      'NETWORK_TOO_LARGE',
    ],
    ['a model alone', one, 'EXTERNAL_DATA_MISSING'],
  ];
  for (const [what, files, code] of archives) t.equal(await upload(files), code, what);
});
