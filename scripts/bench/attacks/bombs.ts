import { gzipSync } from 'node:zlib';
import { zipSync } from 'fflate';
import { type Attack, refusalOf } from './attack.js';
import { chain, manyInner, named, nested, packedLongs, rightChain } from './models.js';

const upload = (name: string, make: () => Uint8Array, headers: Record<string, string> = {}): Attack => ({
  kind: 'untrusted bytes',
  name,
  prepare: make,
  run: async (daemon, bytes) => refusalOf(await daemon.post('/models', bytes, headers)),
});

const json = (name: string, path: string, text: () => string): Attack => ({
  kind: 'untrusted bytes',
  name,
  run: async (daemon) =>
    refusalOf(
      await daemon.fetch(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: text(),
      }),
    ),
});

/** An archive whose directory states another size of what it holds. */
function lyingZip(statedBytes: number): Uint8Array {
  const archive = zipSync({ 'model.onnx': new Uint8Array(2 ** 22) }, { level: 9 });
  const view = new DataView(archive.buffer, archive.byteOffset);
  const at = Buffer.from(archive).lastIndexOf(Buffer.from([0x50, 0x4b, 1, 2]));
  view.setUint32(at + 24, statedBytes, true);
  return archive;
}

/** The table's rows on bytes that grow when they are read. */
export const bombs: readonly Attack[] = [
  upload('120 MB of operators in a gzip body of 0.2 MB', () => gzipSync(chain(8_000_000)), {
    'content-encoding': 'gzip',
  }),
  upload('120 MB of operators', () => chain(8_000_000)),
  upload('26 MB of operators', () => chain(1_700_000)),
  upload('a right file of 300,000 operators', () => rightChain(300_000)),
  upload('64 M integers, a byte each', () => packedLongs(64_000_000)),
  upload('graphs nested 5,000 deep', () => nested(5000)),
  upload('20,000 inner graphs that each see 20,000 values', () => manyInner(40_000)),
  upload('an archive that says it unpacks to 1.5 GB', () => lyingZip(1.5e9)),
  upload('an archive that unpacks to more than it says', () => lyingZip(100)),
  upload('the archive names a file outside itself', () =>
    zipSync({ '../model.onnx': new Uint8Array(10), 'model.onnx': named('Relu') }),
  ),
  upload('a TensorFlow Lite file of offsets into nowhere', () => {
    const bytes = new Uint8Array(1_000_000).fill(0x7f);
    bytes.set([0x18, 0, 0, 0, 0x54, 0x46, 0x4c, 0x33]);
    return bytes;
  }),
  json('JSON nested 20,000 deep', '/studies', () => `${'['.repeat(20_000)}${']'.repeat(20_000)}`),
  json('JSON of 500,000 values', '/studies', () => `[${'1,'.repeat(500_000)}1]`),
  {
    kind: 'untrusted bytes',
    name: 'JSON of 256 MB in a gzip body',
    prepare: () => gzipSync(Buffer.alloc(2 ** 28, 0x20)),
    run: async (daemon, bytes) =>
      refusalOf(
        await daemon.fetch('/studies', {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'content-encoding': 'gzip' },
          body: Buffer.from(bytes),
        }),
      ),
  },
  {
    kind: 'untrusted bytes',
    name: 'JSON whose brackets hide in UTF-7',
    run: async (daemon) =>
      refusalOf(
        await daemon.fetch('/studies', {
          method: 'POST',
          headers: { 'content-type': 'application/json; charset=utf-7' },
          body: `${'+AFs-'.repeat(20_000)}`,
        }),
      ),
  },
  {
    kind: 'untrusted bytes',
    name: '8 uploads of 250 MB at once',
    run: async (daemon) => {
      const bytes = new Uint8Array(250 * 2 ** 20);
      const all = await Promise.all(
        Array.from({ length: 8 }, () =>
          daemon.post('/models', bytes).then(refusalOf, () => ({ code: 'CLOSED' })),
        ),
      );
      const codes = [...new Set(all.map(({ code }) => code))];
      return { code: codes.includes(null) ? null : codes.join(' ') };
    },
  },
];

/** Names that every JavaScript object has. */
export const names: readonly Attack[] = [
  ...['constructor', '__proto__', 'toString', 'hasOwnProperty'].map(
    (op): Attack => ({
      kind: 'names',
      name: `an operator ${op}`,
      run: async (daemon) => {
        const response = await daemon.post('/models', named(op));
        // An operator that nobody knows may be kept; it must not be taken for one that is known.
        if (response.status !== 201) return refusalOf(response);
        const { sha256 } = (await response.json()) as { sha256: string };
        const { devices } = (await (await daemon.fetch('/devices')).json()) as { devices: { id: string }[] };
        const device = devices.find(({ id }) => id.startsWith('onnxruntime') || id.includes('cpu'))?.id ?? '';
        await daemon.fetch(`/devices/${device}/adopt`, { method: 'POST' });
        return refusalOf(await daemon.post('/measurements', { model: sha256, device, protocol: 'quick' }));
      },
    }),
  ),
  ...['constructor', '__proto__', 'valueOf'].map(
    (kind): Attack => ({
      kind: 'names',
      name: `a space of kind ${kind}`,
      run: async (daemon) =>
        refusalOf(
          await daemon.fetch('/studies', {
            method: 'POST',
            headers: { 'content-type': 'application/json' },
            body: `{"name":"a","space":{"kind":"${kind}"},"sampler":"random","devices":["x"],"objectives":["latencyUs"],"trials":1}`,
          }),
        ),
    }),
  ),
];
