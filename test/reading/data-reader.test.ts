import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { zipSync } from 'fflate';
import sharp from 'sharp';
import t from 'tap';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import { labelledSpecSchema } from '../../daemon/data/labelled/spec.js';
import { npyBytes } from '../../daemon/data/write-npy.js';
import { DataReader } from '../../daemon/reading/data-reader.js';
import { readHere } from '../../daemon/reading/read-here.js';
import { ReadingProcess } from '../../daemon/reading/reading-process.js';
import type { CalibrationData } from '../../daemon/runtime/calibration-data.js';

/** Data that other people made, read in a child: the answers are those of this process, and what ends the child is refused. */
const openReader = (t: Tap, folder: string): DataReader => {
  const reader = new DataReader({ clock: systemClock, folder });
  t.teardown(() => reader.stop());
  return reader;
};
type Tap = { teardown(end: () => unknown): unknown };

async function imageFolder(dir: string): Promise<string> {
  for (const [name, base] of [
    ['cat', 40],
    ['dog', 200],
  ] as const) {
    mkdirSync(join(dir, 'images', name), { recursive: true });
    for (let i = 0; i < 6; i++) {
      const pixels = Buffer.from(Array.from({ length: 8 * 8 * 3 }, (_, j) => (base + i * 3 + j) % 256));
      const image = sharp(pixels, { raw: { width: 8, height: 8, channels: 3 } }).png();
      writeFileSync(join(dir, 'images', name, `${i}.png`), await image.toBuffer());
    }
  }
  return join(dir, 'images');
}

t.test('a folder of images gives the same numbers as in this process', async (t) => {
  const dir = t.testdir();
  const folder = await imageFolder(dir);
  const spec = labelledSpecSchema.parse({ kind: 'images', folder, validation: 0.5, calibration: 4 });
  const expected = { input: [3, 8, 8], classes: 2 } as const;
  const reader = openReader(t, join(dir, 'reading'));
  const [there, here] = [await reader.labelled(spec, expected), await readHere.labelled(spec, expected)];
  t.same(there, here);
  const near = { ...spec, folder: relative('.', folder) } as typeof spec;
  t.same((await reader.labelled(near, expected)).record, here.record);
  t.ok(there.train.pixels instanceof Float32Array && there.train.labels instanceof Uint8Array);
  t.ok(there.train.count > 0 && there.validation.count > 0 && there.calibration.count === 4);

  await t.rejects(reader.labelled(spec, { input: [3, 9, 8], classes: 2 }), { code: 'DATA_INVALID' });
  writeFileSync(join(folder, 'dog', '9.png'), Buffer.from('89504e470d0a1a0a00000000', 'hex'));
  const refused = await readHere.labelled(spec, expected).catch((error) => error);
  await t.rejects(reader.labelled(spec, expected), { code: refused.code, message: refused.message });
  await t.rejects(reader.labelled({ ...spec, folder: join(dir, 'nowhere') } as typeof spec, expected), {
    code: 'NOT_FOUND',
  });
});

t.test(
  'tables and JSON are read there, and neither pipes, endless nesting nor aliases stop the daemon',
  async (t) => {
    const dir = t.testdir({
      'rows.json': '[{"architecture": [1, 2], "values": {"accuracy": 0.5}}]',
      'deep.json': `${'['.repeat(2_000_000)}`,
      'no.json': '{',
    });
    const reader = openReader(t, join(dir, 'reading'));
    t.same(await reader.json(join(dir, 'rows.json')), [{ architecture: [1, 2], values: { accuracy: 0.5 } }]);
    t.same(
      await reader.json(relative('.', join(dir, 'rows.json'))),
      await reader.json(join(dir, 'rows.json')),
    );
    execFileSync('mkfifo', [join(dir, 'pipe')]);
    for (const name of ['pipe', 'deep.json', 'no.json', 'nowhere.json', '.'])
      await t.rejects(reader.json(join(dir, name)), { code: /DATA_INVALID|NETWORK_TOO_LARGE/ }, name);

    const files = [{ name: 'a.yaml', text: 'a-b: {mean: 1}' }];
    const here = await readHere.tables(files, 'ofa').catch((error) => error);
    const there = await reader.tables(files, 'ofa').catch((error) => error);
    t.equal(there.code ?? there, here.code ?? here);
    const own = [
      {
        name: 'own.yaml',
        text: 'hildaTable: 1\nunit: us\ntarget: null\nprovenance: measured\nsource: me\nentries: {x: {count: 1, mean: 2, std: 3}}\n',
      },
    ];
    t.same(await reader.tables(own, 'hilda'), await readHere.tables(own, 'hilda'));
    const figures = [{ name: 'a.csv', text: 'network,latency_us\nkws,12.5\n' }];
    t.same(await reader.figures(figures, 'x'), await readHere.figures(figures, 'x'));
    await t.rejects(reader.figures(figures, null), { code: 'TABLE_INVALID' });
    const laughs = Array.from({ length: 12 }, (_, i) =>
      i === 0
        ? 'a0: &a0 [x, x]'
        : `a${i}: &a${i} [${Array(9)
            .fill(`*a${i - 1}`)
            .join(', ')}]`,
    ).join('\n');
    await t.rejects(reader.tables([{ name: 'laughs.yaml', text: laughs }], 'ofa'), { code: 'TABLE_INVALID' });
  },
);

/** A piece as the command line packs it: two examples of two inputs, one of half precision. */
const ports = [
  { name: 'a', dtype: 'float32', dims: [1, 3] },
  { name: 'b', dtype: 'float16', dims: ['n', 2] },
] as const;
const piece = (level: 0 | 9): Uint8Array =>
  zipSync(
    {
      'a.npy': npyBytes(Float32Array.of(1, 2, 3, 4, 5, 6), 'float32', [2, 1, 3]),
      'b.npy': npyBytes(Float64Array.of(0.5, 1, 1.5, 2), 'float64', [2, 1, 2]),
    },
    { level },
  );

async function feedsOf(data: CalibrationData): Promise<object[]> {
  const feeds: object[] = [];
  for await (const feed of data.feeds()) feeds.push(feed);
  return feeds;
}

t.test('examples and arrays have the same elements as in this process', async (t) => {
  const reader = openReader(t, join(t.testdir(), 'reading'));
  const fortran = Buffer.from(npyBytes(Float32Array.of(1, 2, 3, 4, 5, 6), 'float32', [2, 3]));
  fortran.write('True ', fortran.indexOf('False'), 'latin1');
  const large = npyBytes(
    Float32Array.from({ length: 600_000 }, (_, i) => i),
    'float32',
    [200_000, 1, 3],
  );
  for (const [bytes, inputs] of [
    [piece(0), ports],
    [piece(9), ports],
    [npyBytes(Uint8Array.of(1, 2, 3), 'uint8', [3]), [ports[0]]],
    [large, [ports[0]]],
  ] as const) {
    const [there, here] = [await reader.examples(bytes, inputs), await readHere.examples(bytes, inputs)];
    t.equal(there.count, here.count);
    const [first, second] = [await feedsOf(there), await feedsOf(there)];
    const own = await feedsOf(here);
    // Thousands of examples compare slowly one by one.
    t.equal(isDeepStrictEqual(first, own), true, `${bytes.length} bytes`);
    t.equal(isDeepStrictEqual(second, own), true, 'again');
  }
  for (const dtype of ['float32', 'int64', 'uint8', 'float16'] as const)
    t.same(await reader.tensor(fortran, dtype, 'x'), await readHere.tensor(fortran, dtype, 'x'), dtype);
  t.same((await reader.tensor(fortran, 'uint8', 'x')).data, Uint8Array.of(1, 3, 5, 2, 4, 6));
});

t.test('examples and arrays that fit nothing or unpack to gigabytes are refused', async (t) => {
  const reader = openReader(t, join(t.testdir(), 'reading'));
  const bomb = zipSync({ 'a.npy': new Uint8Array(2 ** 20) }, { level: 9 });
  const view = new DataView(bomb.buffer, bomb.byteOffset);
  view.setUint32(Buffer.from(bomb).lastIndexOf(Buffer.from([0x50, 0x4b, 1, 2])) + 24, 2 ** 20 + 1, true);
  const many = zipSync(
    Object.fromEntries(
      ports.map(({ name }) => [`${name}.npy`, [new Uint8Array(260 * 2 ** 20), { level: 1 }]]),
    ),
  );
  for (const [bytes, code] of [
    [bomb, 'DATA_INVALID'],
    [many, 'DATA_INVALID'],
    [zipSync({ 'c.npy': npyBytes(Float32Array.of(1), 'float32', [1]) }), 'REQUEST_INVALID'],
    [npyBytes(Float32Array.of(1), 'float32', [1]), 'REQUEST_INVALID'],
  ] as const) {
    const refused = await readHere.examples(bytes, ports).catch((error) => error);
    t.equal(refused.code, code);
    await t.rejects(reader.examples(bytes, ports), { code, message: refused.message });
  }
  const wide = npyBytes(Float32Array.of(1.5, 300), 'float32', [2]);
  for (const dtype of ['int32', 'uint8'] as const)
    await t.rejects(reader.tensor(wide, dtype, 'the blob'), { code: 'DATA_INVALID', message: /cannot hold/ });
  await t.rejects(reader.tensor(Buffer.from('no array'), 'int32', 'the blob'), { code: 'DATA_INVALID' });
});

t.test(
  'a file that takes the child up is refused with the code of its kind, and the next is read',
  async (t) => {
    const hasty = new ReadingProcess({ clock: systemClock, timeoutMs: 1 });
    t.teardown(() => hasty.stop());
    const ask = (process: ReadingProcess, text: string) =>
      process.inTurn({ bytes: text.length, code: 'TABLE_INVALID' }, (ask) =>
        ask({ op: 'tables', files: [{ name: 'x', text }], format: 'hilda' }),
      );
    await t.rejects(ask(hasty, 'a: 1'), { code: 'TABLE_INVALID', message: /took more than 1 ms/ });
    const poor = new ReadingProcess({ clock: systemClock, heapBytes: 24 * 2 ** 20 });
    t.teardown(() => poor.stop());
    const wide = `entries: {${Array.from({ length: 300_000 }, (_, i) => `k${i}: {count: 1, mean: 2, std: 3}`).join(', ')}}`;
    await t.rejects(ask(poor, wide), { code: 'TABLE_INVALID', message: /bytes to read/ });
    await t.rejects(ask(poor, 'hildaTable: 2'), { code: 'TABLE_INVALID', message: /no table of hilda/ });
  },
);

/** Sends every reader that this process started a signal; how many there are. */
function signalReaders(signal: NodeJS.Signals): number {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' }).split('\n');
  const pids = lines.flatMap((line) => {
    const [pid, ppid, ...args] = line.trim().split(/\s+/);
    return Number(ppid) === process.pid && args.join(' ').includes('reader-child') ? [Number(pid)] : [];
  });
  for (const pid of pids) process.kill(pid, signal);
  return pids.length;
}

t.test('a reader that is killed reads the file again, and says of it only what it did itself', async (t) => {
  const reading = new ReadingProcess({ clock: systemClock });
  t.teardown(() => reading.stop());
  let calls = 0;
  const ask = (text: string, kills: number) =>
    reading.inTurn({ bytes: text.length, code: 'TABLE_INVALID' }, async (ask) => {
      // Held first: it could answer before it is killed, as by a system that is short of memory.
      const dies = ++calls <= kills;
      if (dies) t.equal(signalReaders('SIGSTOP'), 1);
      const answer = ask({ op: 'tables', files: [{ name: 'x', text }], format: 'hilda' });
      answer.catch(() => {});
      if (dies) signalReaders('SIGKILL');
      return answer;
    });
  await t.rejects(ask('hildaTable: 2', 1), { code: 'TABLE_INVALID', message: /no table of hilda/ });
  t.equal(calls, 2);
  calls = 0;
  await t.rejects(ask('hildaTable: 2', 2), { code: 'TABLE_INVALID', message: /to read/ });
  t.equal(calls, 2, 'a file that ends two readers is given up');
  await t.rejects(ask('hildaTable: 2', 0), { code: 'TABLE_INVALID', message: /no table of hilda/ });
});

t.test('one timer stands for all files that are read, and ends the reader once none is', async (t) => {
  const clock = new ManualClock();
  const sleeps: number[] = [];
  const counted = Object.assign(Object.create(clock) as ManualClock, {
    sleep: (ms: number, options: object) => {
      if (ms === 30_000) sleeps.push(ms);
      return clock.sleep(ms, options);
    },
  });
  const reading = new ReadingProcess({ clock: counted });
  t.teardown(() => reading.stop());
  const ask = () =>
    reading.inTurn({ bytes: 1, code: 'TABLE_INVALID' }, (ask) =>
      ask({ op: 'tables', files: [{ name: 'x', text: 'hildaTable: 2' }], format: 'hilda' }),
    );
  for (let i = 0; i < 20; i++) await t.rejects(ask(), { code: 'TABLE_INVALID' });
  t.equal(sleeps.length, 1);
  await clock.advance(30_000);
  await t.rejects(ask(), { code: 'TABLE_INVALID' });
  for (let i = 0; i < 3; i++) await clock.advance(30_000);
  t.equal(signalReaders('SIGCONT'), 0, 'the reader has ended');
  await t.rejects(ask(), { code: 'TABLE_INVALID', message: /no table of hilda/ });
});
