import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import sharp from 'sharp';
import t from 'tap';
import { ManualClock, systemClock } from '../../daemon/core/clock.js';
import { labelledSpecSchema } from '../../daemon/data/labelled/spec.js';
import { DataReader } from '../../daemon/reading/data-reader.js';
import { readHere } from '../../daemon/reading/read-here.js';
import { ReadingProcess } from '../../daemon/reading/reading-process.js';

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
