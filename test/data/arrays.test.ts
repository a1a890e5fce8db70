import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import t, { type Test } from 'tap';
import { fromHalf, toHalf } from '../../daemon/core/half.js';
import {
  convertElements,
  type Elements,
  encodeElements,
  type NumericType,
} from '../../daemon/data/elements.js';
import { type OpenOptions, openArrays } from '../../daemon/data/open-arrays.js';
import { readTensor } from '../../daemon/data/read-tensor.js';

async function folder(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'hilda-data-'));
  t.teardown(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** A .npy file; `header` as numpy writes it. */
function npy(descr: string, shape: string, data: Uint8Array, { order = 'False', major = 1 } = {}): Buffer {
  const text = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;
  const start = major === 1 ? 10 : 12;
  const padded = `${text.padEnd(Math.ceil((start + text.length + 1) / 64) * 64 - start - 1)}\n`;
  const head = Buffer.alloc(start);
  head.write('\x93NUMPY', 'latin1');
  head[6] = major;
  if (major === 1) head.writeUInt16LE(padded.length, 8);
  else head.writeUInt32LE(padded.length, 8);
  return Buffer.concat([head, Buffer.from(padded), data]);
}

interface Packed {
  readonly name: string;
  readonly data: Uint8Array;
  readonly deflated?: boolean;
  /** What the directory claims, where it lies. */
  readonly claim?: number;
  readonly method?: number;
  readonly flags?: number;
}

/** A ZIP archive, written by the format's description. */
function zip(entries: readonly Packed[]): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, data, deflated, claim, method, flags = 0 } of entries) {
    const packed = deflated ? deflateRawSync(data) : Buffer.from(data);
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(flags, 2);
    fields.writeUInt16LE(method ?? (deflated ? 8 : 0), 4);
    fields.writeUInt32LE(crc32(data), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(claim ?? data.length, 18);
    fields.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, Buffer.from(name), packed]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(at, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), fields, rest, Buffer.from(name)]));
    files.push(local);
    at += local.length;
  }
  const list = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(list.length, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...files, list, end]);
}

const floats = (...values: number[]): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

async function all(
  path: string,
  options?: OpenOptions,
): Promise<{ dims: readonly number[]; values: unknown[] }> {
  const source = await openArrays(path, options);
  try {
    return { dims: [source.count, ...source.dims], values: [...(await source.examples(0, source.count))] };
  } finally {
    await source.close();
  }
}

t.test('.npy in every version, byte order, order and type', async (t) => {
  const work = await folder(t);
  const path = join(work, 'x.npy');
  const put = (bytes: Uint8Array): Promise<void> => writeFile(path, bytes);
  const swapped = (bytes: Uint8Array, size: number): Uint8Array => {
    const copy = Buffer.from(bytes);
    return size === 2 ? copy.swap16() : size === 4 ? copy.swap32() : copy.swap64();
  };
  const cases: [string, NumericType, Elements][] = [
    ['f4', 'float32', Float32Array.of(0, -1.5, 3e38, 2 ** -149)],
    ['f8', 'float64', Float64Array.of(0.1, -2, 1e300, 5e-324)],
    ['f2', 'float16', Float32Array.of(0, 65_504, -(2 ** -24), 1.0009765625)],
    ['i1', 'int8', Int8Array.of(-128, 127, 0, 1)],
    ['u1', 'uint8', Uint8Array.of(0, 255, 1, 2)],
    ['i2', 'int16', Int16Array.of(-32_768, 32_767, 1, 2)],
    ['u2', 'uint16', Uint16Array.of(0, 65_535, 1, 2)],
    ['i4', 'int32', Int32Array.of(-(2 ** 31), 2 ** 31 - 1, 1, 2)],
    ['u4', 'uint32', Uint32Array.of(0, 2 ** 32 - 1, 1, 2)],
    ['i8', 'int64', BigInt64Array.of(-(2n ** 63n), 2n ** 63n - 1n, 1n, 2n)],
    ['u8', 'uint64', BigUint64Array.of(0n, 2n ** 64n - 1n, 1n, 2n)],
    ['b1', 'bool', Uint8Array.of(0, 1, 1, 0)],
  ];
  for (const [code, dtype, elements] of cases) {
    const bytes = encodeElements(elements, dtype);
    const size = bytes.length / 4;
    for (const major of [1, 2, 3]) {
      await put(npy(size === 1 ? `|${code}` : `<${code}`, '(2, 2)', bytes, { major }));
      t.same(await all(path), { dims: [2, 2], values: [...elements] }, `${code}, version ${major}.0`);
    }
    if (size === 1) continue;
    await put(npy(`>${code}`, '(2, 2)', swapped(bytes, size)));
    t.same((await all(path)).values, [...elements], `${code}, big endian`);
  }
  // Element (i, j, k) of a 2 x 3 x 2 array stands at i + 2 j + 6 k when it is column-major.
  const order = [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11];
  const stored = new Array<number>(12);
  order.forEach((at, i) => {
    stored[at] = i;
  });
  await put(npy('<f4', '(2, 3, 2)', floats(...stored), { order: 'True' }));
  t.same((await all(path)).values, [...Array(12).keys()], 'column-major');
  const source = await openArrays(path);
  t.same([...(await source.examples(1, 2))], [6, 7, 8, 9, 10, 11], 'one example of it');
  await source.close();
});

t.test('a damaged or foreign .npy is refused by what is wrong with it', async (t) => {
  const path = join(await folder(t), 'x.npy');
  const good = npy('<f4', '(2, 2)', floats(1, 2, 3, 4));
  for (const [bytes, message] of [
    [good.subarray(0, -1), /holds 15 bytes of data, but its shape \(2, 2\) of float32 takes 16/],
    [Buffer.concat([good, floats(5)]), /holds 20 bytes/],
    [good.subarray(0, 40), /truncated within its header/],
    [good.subarray(0, 8), /first six bytes/],
    [Buffer.concat([good.subarray(0, 6), Buffer.of(9, 0), good.subarray(8)]), /version 9\.0/],
    [npy('|O', '(2,)', Buffer.from('pickle')), /Python objects, which are pickled/],
    [npy('<c8', '(2,)', floats(1, 2, 3, 4)), /complex/],
    [npy('<U2', '(1,)', Buffer.alloc(8)), /text/],
    [npy('<f16', '(1,)', Buffer.alloc(16)), /elements of type f16/],
    [npy('=f4', '(1,)', floats(1)), /byte order/],
    [npy('<f4', '(4294967296, 4294967296)', floats(1)), /which no array can have/],
    [npy('<f4', '(-1,)', floats(1)), /damaged/],
    [npy('<f4', '(2, 0)', Buffer.alloc(0)), /holds no element/],
    [npy('|b1', '(2,)', Buffer.of(1, 2)), /neither 0 nor 1/],
    [npy('<f4', '(2,)', floats(1, Number.NaN)), /element 0 of example 1 is NaN/],
    [Buffer.from(good.toString('latin1').replace('fortran_order', 'fortran_odder'), 'latin1'), /damaged/],
    [Buffer.alloc(0), /is empty/],
  ] as [Buffer, RegExp][]) {
    await writeFile(path, bytes);
    await t.rejects(all(path), { code: 'DATA_INVALID', message }, String(message));
  }
  await writeFile(path, npy('<f4', '(2,)', floats(1, Number.NEGATIVE_INFINITY)));
  t.same(
    (await all(path, { anyValue: true })).values,
    [1, Number.NEGATIVE_INFINITY],
    'where it is asked for',
  );
});

t.test('.npz, stored and deflated, read in order and out of it', async (t) => {
  const work = await folder(t);
  const path = join(work, 'x.npz');
  const put = (...entries: Packed[]): Promise<void> => writeFile(path, zip(entries));
  const x = npy('<f4', '(3, 2)', floats(1, 2, 3, 4, 5, 6));
  await put({ name: 'x.npy', data: x, deflated: true }, { name: '__proto__.npy', data: x });
  t.same((await all(path, { array: 'x' })).values, [1, 2, 3, 4, 5, 6]);
  t.same((await all(path, { array: '__proto__' })).dims, [3, 2]);
  await t.rejects(all(path), { code: 'DATA_INVALID', message: /several arrays: x, __proto__/ });
  await t.rejects(all(path, { array: 'constructor' }), {
    code: 'DATA_INVALID',
    message: /no array "constructor"/,
  });

  // Larger than what is kept unpacked, so that reading streams.
  const count = 17;
  const values = new Float32Array(count * 2 ** 20);
  for (let i = 0; i < values.length; i++) values[i] = (i % 251) + Math.floor(i / 2 ** 20);
  const large = npy('<f4', `(${count}, 1048576)`, new Uint8Array(values.buffer));
  await put({ name: 'x.npy', data: large, deflated: true });
  const source = await openArrays(path);
  for (const i of [0, 7, 3, 16]) {
    const [example, expected] = [
      await source.examples(i, i + 1),
      values.subarray(i * 2 ** 20, (i + 1) * 2 ** 20),
    ];
    t.ok(Buffer.from(example.buffer).equals(Buffer.from(expected.slice().buffer)), `example ${i}`);
  }
  await source.close();

  const bad = Buffer.from(zip([{ name: 'x.npy', data: x }]));
  bad[100] = 99;
  const broken = Buffer.from(zip([{ name: 'x.npy', data: x, deflated: true }]));
  broken.fill(0xff, 35, 60);
  for (const [bytes, message] of [
    [bad, /its checksum differs/],
    [broken, /does not unpack|checksum/],
    [zip([{ name: 'x.npy', data: x, deflated: true, claim: 2 ** 31 }]), /no entry expands so far/],
    [zip([{ name: 'x.npy', data: x, deflated: true, claim: x.length - 8 }]), /more bytes than/],
    [zip([{ name: 'x.npy', data: x, deflated: true, claim: x.length + 8 }]), /fewer bytes than/],
    [zip([{ name: 'x.npy', data: x, method: 12 }]), /method 12/],
    [zip([{ name: 'x.npy', data: x, flags: 1 }]), /encrypted/],
    [
      zip([
        { name: 'x.npy', data: x },
        { name: 'x.npy', data: x },
      ]),
      /two entries named x\.npy/,
    ],
    [zip([{ name: 'readme', data: x }]), /holds no array/],
    [zip([{ name: 'x.npy', data: x }]).subarray(0, -5), /no ZIP archive, or a truncated one/],
    [Buffer.from('not a zip'), /no ZIP archive/],
  ] as [Buffer, RegExp][]) {
    await writeFile(path, bytes);
    await t.rejects(all(path), { code: 'DATA_INVALID', message }, String(message));
  }
});

t.test('files that numpy writes', async (t) => {
  const work = await folder(t);
  const script = `
import numpy as np, os
os.chdir(${JSON.stringify(work)})
x = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7
np.save('c.npy', x); np.save('f.npy', np.asfortranarray(x)); np.save('b.npy', x.astype('>f8'))
np.save('h.npy', x.astype(np.float16)); np.savez('s.npz', x=x, y=np.array([1, 2])); np.savez_compressed('z.npz', x=x)
np.save('zero.npy', np.float32(2.5))
`;
  try {
    execFileSync('python3', ['-c', script], { stdio: 'pipe' });
  } catch {
    t.pass('there is no Python with numpy');
    return;
  }
  const x = Array.from({ length: 24 }, (_, i) => Math.fround(i / 7));
  const read = async (name: string, options?: OpenOptions): Promise<unknown[]> =>
    (await all(join(work, name), options)).values;
  for (const name of ['c.npy', 'f.npy', 'z.npz']) t.same(await read(name), x, name);
  t.same(await read('s.npz', { array: 'x' }), x, 's.npz');
  t.same(await read('b.npy', { as: 'float32' }), x, 'big-endian float64');
  t.same(
    await read('h.npy'),
    x.map((value) => fromHalf(toHalf(value))),
    'float16',
  );
  t.same(await read('zero.npy', { dims: [1, 1] }), [2.5], 'no axis');
});

t.test('shapes, raw elements, JSON, IDX and one value for an input', async (t) => {
  const work = await folder(t);
  const at = (name: string): string => join(work, name);
  await writeFile(at('x.f32'), floats(1, 2, 3, 4, 5, 6));
  t.same(await all(at('x.f32'), { dims: [1, 3] }), { dims: [2, 1, 3], values: [1, 2, 3, 4, 5, 6] });
  await t.rejects(all(at('x.f32'), { dims: [1, 4] }), { code: 'DATA_INVALID', message: /needed is 1 x 4/ });
  await writeFile(at('odd.bin'), Buffer.alloc(6));
  await t.rejects(all(at('odd.bin')), { code: 'DATA_INVALID', message: /no whole number of float32/ });

  const array = npy('<f4', '(2, 3)', floats(1, 2, 3, 4, 5, 6));
  await writeFile(at('x.npy'), array);
  for (const [dims, count] of [
    [[1, 3], 2],
    [[3], 2],
    [[2, 3], 1],
    [[1, 2, 1, 3], 1],
  ] as [number[], number][])
    t.same((await all(at('x.npy'), { dims })).dims, [count, ...dims], `as ${dims}`);
  for (const dims of [[3, 2], [6], [1, 6], [2]])
    await t.rejects(all(at('x.npy'), { dims }), { code: 'DATA_INVALID' }, `never as ${dims}`);

  await writeFile(at('x.json'), '{"a": [[1, 2], [3, 4]], "constructor": [true, false]}');
  t.same(await all(at('x.json'), { array: 'a' }), { dims: [2, 2], values: [1, 2, 3, 4] });
  t.same((await all(at('x.json'), { array: 'constructor', as: 'bool' })).values, [1, 0]);
  for (const [text, message] of [
    ['[[1, 2], [3]]', /\[1\] is not an array of 2/],
    ['[1, "2"]', /\[1\] is 2, not a number/],
    ['[1, true]', /mixes/],
    ['[1e999]', /not a number/],
    ['[1, [2]]', /\[1\] is an array/],
    ['{', /not JSON/],
    ['{}', /empty object/],
    ['[]', /holds no element/],
  ] as [string, RegExp][]) {
    await writeFile(at('bad.json'), text);
    await t.rejects(all(at('bad.json')), { code: 'DATA_INVALID', message }, text);
  }

  const idx = Buffer.concat([Buffer.of(0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2), Buffer.of(1, 2, 3, 4)]);
  await writeFile(at('a-idx2-ubyte.gz'), gzipSync(idx));
  t.same(await all(at('a-idx2-ubyte.gz')), { dims: [2, 2], values: [1, 2, 3, 4] });
  await writeFile(at('a-idx2-ubyte'), idx.subarray(0, -1));
  await t.rejects(all(at('a-idx2-ubyte')), { code: 'DATA_INVALID', message: /holds 3 bytes/ });

  const tensor = await readTensor(at('x.npy'), 'int64', [2, 3]);
  t.same([...new BigInt64Array(new Uint8Array(tensor.data).buffer)], [1n, 2n, 3n, 4n, 5n, 6n]);
  await t.rejects(readTensor(at('x.npy'), 'float32', [1, 3]), {
    code: 'DATA_INVALID',
    message: /2 examples/,
  });
  await t.rejects(readTensor(at('x.npy'), 'string', [2, 3]), { code: 'DATA_INVALID' });
  await writeFile(at('i.bin'), new Uint8Array(BigInt64Array.of(7n, 8n).buffer));
  t.same((await readTensor(at('i.bin'), 'int64', [2])).data, new Uint8Array(BigInt64Array.of(7n, 8n).buffer));

  await mkdir(at('many'));
  for (const i of [10, 9])
    await writeFile(
      at(`many/${i}.npy`),
      npy('<i8', '(2,)', encodeElements(BigInt64Array.of(BigInt(i), 1n), 'int64')),
    );
  t.same((await all(at('many'))).values, [10, 1, 9, 1], 'a folder in the order of its names');
  await writeFile(at('many/1.npy'), npy('<f4', '(3,)', floats(1, 2, 3)));
  await t.rejects(all(at('many')), { code: 'DATA_INVALID', message: /9\.npy|10\.npy/ }, 'two shapes');
});

t.test('what is no regular file is refused, and never waited for', async (t) => {
  const work = await folder(t);
  execFileSync('mkfifo', [join(work, 'x.npy')]);
  await t.rejects(openArrays(join(work, 'x.npy')), { code: 'DATA_INVALID', message: /is a FIFO/ });
  await mkdir(join(work, 'y.npy'));
  await t.rejects(openArrays(join(work, 'y.npy')), { code: 'DATA_INVALID', message: /holds no PNG/ });
  await t.rejects(openArrays(join(work, 'none.npy')), { code: 'NOT_FOUND' });
  await t.rejects(openArrays('/dev/zero'), { code: 'DATA_INVALID' });
  await writeFile(join(work, 'x.txt'), 'x');
  await t.rejects(openArrays(join(work, 'x.txt')), { code: 'DATA_INVALID', message: /no reader/ });
  const handle = await open(join(work, 'x.bin'), 'w');
  await handle.truncate(2 ** 37);
  await handle.close();
  await t.rejects(openArrays(join(work, 'x.bin')), { code: 'DATA_INVALID', message: /more than the limit/ });
});

t.test('float16 and conversions keep values, or say which one they cannot', async (t) => {
  for (let bits = 0; bits < 65_536; bits++) {
    const value = fromHalf(bits);
    if (!Number.isNaN(value) && toHalf(value) !== bits) t.fail(`${bits} comes back as ${toHalf(value)}`);
  }
  const finite = Array.from({ length: 0x7c00 }, (_, bits) => fromHalf(bits));
  fc.assert(
    fc.property(fc.double({ min: 0, max: 65_504, noNaN: true }), (value) => {
      const error = Math.abs(fromHalf(toHalf(value)) - value);
      const at = finite.findIndex((one) => one >= value);
      return (
        error <= Math.min(...finite.slice(Math.max(0, at - 1), at + 1).map((one) => Math.abs(one - value)))
      );
    }),
  );
  t.equal(toHalf(65_519.99), 0x7bff);
  t.equal(toHalf(65_520), 0x7c00);
  t.equal(toHalf(1 + 2 ** -11 + 2 ** -40), 0x3c01, 'rounded once: by way of float32 it would tie to even');

  const convert = (from: NumericType, to: NumericType, elements: Elements): unknown[] => [
    ...convertElements(elements, from, to, 'x'),
  ];
  t.same(convert('float64', 'float32', Float64Array.of(0.1)), [Math.fround(0.1)]);
  t.same(convert('uint8', 'int64', Uint8Array.of(255)), [255n]);
  t.same(convert('int64', 'float32', BigInt64Array.of(-(2n ** 30n))), [-(2 ** 30)]);
  for (const [from, to, elements] of [
    ['float64', 'float32', Float64Array.of(1e300)],
    ['float32', 'float16', Float32Array.of(70_000)],
    ['float32', 'int8', Float32Array.of(1.5)],
    ['float32', 'int8', Float32Array.of(128)],
    ['float32', 'int64', Float32Array.of(Number.NaN)],
    ['float64', 'int64', Float64Array.of(2 ** 60)],
    ['int64', 'float32', BigInt64Array.of(2n ** 24n + 1n)],
    ['uint64', 'float64', BigUint64Array.of(2n ** 64n - 1n)],
    ['int8', 'uint8', Int8Array.of(-1)],
    ['uint8', 'bool', Uint8Array.of(2)],
  ] as [NumericType, NumericType, Elements][])
    t.throws(
      () => convert(from, to, elements),
      { code: 'DATA_INVALID', message: /element 0/ },
      `${from} to ${to}`,
    );
});
