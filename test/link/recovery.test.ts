import t, { type Test } from 'tap';
import { ManualClock } from '../../daemon/core/clock.js';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { BoardKeeper } from '../../daemon/devices/mcu/board-keeper.js';
import type { Frame } from '../../firmware-bridge/link/frames.js';
import { BoardSession, type Transport } from '../../firmware-bridge/link/index.js';
import { kinds } from '../../firmware-bridge/link/messages.js';
import { ScriptedBoard, type ScriptedBoardOptions } from './scripted-board.js';
import { fillProgram } from './tiny-program.js';

t.setTimeout(300_000);
const { signal } = new AbortController();
let nonces = 1;
const nonce = (): number => nonces++;

interface Bench {
  readonly board: ScriptedBoard;
  readonly session: BoardSession;
  readonly clock: ManualClock;
  /** Lets time pass until the work has ended; how long that took, in milliseconds. */
  readonly after: <T>(work: Promise<T>) => Promise<{ readonly ms: number; readonly value: T | Error }>;
}

function bench(t: Test, options: ScriptedBoardOptions = {}, through = (line: Transport) => line): Bench {
  const clock = new ManualClock();
  const board = new ScriptedBoard({ clock, ...options });
  const session = new BoardSession({ transport: through(board.line()), nonce, clock, baud: 115_200 });
  t.teardown(() => session.close());
  const after: Bench['after'] = async (work) => {
    const startMs = clock.nowMs();
    let ended: { value: unknown } | undefined;
    work.then(
      (value) => {
        ended = { value };
      },
      (error) => {
        ended = { value: error };
      },
    );
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      if (ended) return { ms: clock.nowMs() - startMs, value: ended.value as never };
      await clock.advance(10);
    }
  };
  return { board, session, clock, after };
}

const program = fillProgram(3);
const run = { slot: 'ram', limitMs: 60_000, timeoutMs: 180_000 } as const;

/** Loses the n-th frame of a kind, once. */
function loseOnce(kind: number, n = 1): (frame: Frame) => boolean {
  let seen = 0;
  return (frame) => frame.kind !== kind || ++seen !== n;
}

const both =
  (a: (frame: Frame) => boolean, b: (frame: Frame) => boolean) =>
  (frame: Frame): boolean =>
    [a(frame), b(frame)].every(Boolean);

t.test('a reply of a run that got lost is asked for; a request that got lost is sent again', async (t) => {
  for (const [name, options, runs] of [
    ['reply', { toHost: loseOnce(kinds.run | kinds.reply) }, 1],
    ['request', { toBoard: loseOnce(kinds.run) }, 1],
    ['refusal', { toHost: loseOnce(kinds.error), refuseRun: () => 18 }, 1],
    ['reply of a long run', { runMs: 7000, toHost: loseOnce(kinds.run | kinds.reply) }, 1],
    [
      'reply and report',
      { toHost: both(loseOnce(kinds.run | kinds.reply), loseOnce(kinds.report | kinds.reply)) },
      1,
    ],
  ] as const) {
    const { board, session, after } = bench(t, options);
    await after(session.upload('ram', program, { signal }));
    const { ms, value } = await after(session.run({ ...run, signal }));
    if (name === 'refusal') t.match(value, { code: 'NETWORK_REJECTED' });
    else t.match(value, { operators: 1 }, name);
    t.equal(board.runs, runs, `${name}: it ran once`);
    t.ok(ms < ('runMs' in options ? 9500 : 3000), `${name}: after ${ms} ms`);
  }
  const old = bench(t, { linkVersion: 1, toHost: loseOnce(kinds.run | kinds.reply) });
  await old.after(old.session.upload('ram', program, { signal }));
  const { ms, value } = await old.after(old.session.run({ ...run, signal }));
  t.match(value, { code: 'DEVICE_FAILED', message: /keeps none/ }, 'former firmware keeps no report');
  t.equal(old.board.runs, 1, 'nor is it run again, from an input that the first run overwrote');
  t.ok(ms < 3000);
});

t.test('an abort acts within a second, and the next call finds an idle board', async (t) => {
  for (const [name, options] of [
    ['all well', {}],
    ['the cancel lost', { toBoard: loseOnce(kinds.cancel) }],
    ['its reply lost', { toHost: loseOnce(kinds.cancel | kinds.reply) }],
    ['both replies lost', { toHost: both(loseOnce(kinds.cancel | kinds.reply), loseOnce(kinds.error)) }],
    ['no cancel arrives', { toBoard: (frame: Frame) => frame.kind !== kinds.cancel }],
    ['nothing is answered', { toHost: (frame: Frame) => frame.kind !== kinds.error }],
    ['former firmware', { linkVersion: 1 as const }],
  ] as const) {
    const { board, session, clock, after } = bench(t, { runMs: 60_000, ...options });
    await after(session.upload('ram', program, { signal }));
    const aborting = new AbortController();
    const running = after(session.run({ ...run, signal: aborting.signal }));
    while (clock.nowMs() < 2500) await new Promise((resolve) => setImmediate(resolve));
    const atMs = clock.nowMs();
    aborting.abort(new Error('enough'));
    const { value } = await running;
    t.match(value, { message: 'enough' }, name);
    t.ok(clock.nowMs() - atMs <= 1050, `${name}: ${clock.nowMs() - atMs} ms`);
    Object.assign(board.options, { runMs: 0 });
    await after(session.upload('ram', program, { signal }));
    const next = await after(session.run({ ...run, signal }));
    t.match(next.value, { operators: 1 }, `${name}: the next run`);
  }
  const filling = bench(t, { fillMs: 20_000 });
  await filling.after(filling.session.hello({ signal }));
  const aborting = new AbortController();
  const pool = filling.after(filling.session.preparePool({ signal: aborting.signal }));
  while (filling.clock.nowMs() < 3000) await new Promise((resolve) => setImmediate(resolve));
  aborting.abort(new Error('enough'));
  t.match((await pool).value, { message: 'enough' });
  t.ok(filling.clock.nowMs() < 4100);
});

t.test(
  'a slow flash is no hang: progress and answered pings keep the wait alive, silence ends it',
  async (t) => {
    const attended = async (options: ScriptedBoardOptions) => {
      const { board, session, clock, after } = bench(t, options);
      const troubles: string[] = [];
      const keeper = new BoardKeeper({
        open: async (life) => {
          await session.hello({ signal: life });
          return session;
        },
        clock,
        pingMs: 2000,
        onTrouble: ({ message }) => troubles.push(message),
      });
      t.teardown(() => after(keeper.close()));
      await after(keeper.attach(signal));
      const filled = await after(session.preparePool({ signal }));
      await new Promise((resolve) => setImmediate(resolve));
      return { ...filled, troubles, board };
    };
    const slow = await attended({ fillMs: 38_000 });
    t.same([slow.value, slow.troubles], [undefined, []], 'as slow as a Pico may be');
    t.ok(slow.ms >= 38_000 && slow.ms < 39_000);
    const lossy = Xoshiro128.fromSeed(4);
    const noisy = await attended({
      fillMs: 20_000,
      toHost: ({ kind }) =>
        (kind !== kinds.progress && kind !== (kinds.ping | kinds.reply)) || lossy.next() < 0.5,
    });
    t.same([noisy.value, noisy.troubles], [undefined, []], 'half of its signs lost');
    const former = await attended({ fillMs: 20_000, linkVersion: 1 });
    t.same(
      [former.value, former.troubles],
      [undefined, []],
      'former firmware is silent, as it was known to be',
    );
    const hung = await attended({ fillMs: 600_000, silentFill: true });
    t.match(hung.value, { code: 'DEVICE_FAILED' });
    t.match(hung.troubles, [/hung, and it cannot be restarted from here/]);
    t.ok(hung.ms < 15_000, `given up after ${hung.ms} ms`);
  },
);

t.test('a board that starts anew: the call under way fails, the next one says hello by itself', async (t) => {
  const { board, session, clock, after } = bench(t, { runMs: 5000 });
  await after(session.upload('ram', program, { signal }));
  const running = after(session.run({ ...run, signal }));
  while (clock.nowMs() < 1500) await new Promise((resolve) => setImmediate(resolve));
  board.reset();
  t.match((await running).value, { code: 'DEVICE_FAILED', details: { restarted: true } });
  t.match((await after(session.run({ ...run, signal }))).value, { message: /noProgram/ }, 'its RAM is empty');
  t.match((await after(session.upload('ram', program, { signal }))).value, { operators: 1 });

  board.reset();
  const told = await after(session.fill(0, 64, 1, { signal }));
  t.match(told.value, { details: { restarted: true } }, 'a call that relies on what the board held');
  t.match((await after(session.echo(Uint8Array.of(1), { signal }))).value, Uint8Array.of(1));
  board.reset();
  await after(session.ready({ signal }));
  t.equal((await after(session.fill(0, 64, 1, { signal }))).value, 0, 'a new piece of work is not told');

  // The announcement is lost as well: the refusal of the old session tells.
  Object.assign(board.options, { toHost: ({ kind }: Frame) => kind !== kinds.boot });
  board.reset();
  t.match((await after(session.fill(0, 64, 1, { signal }))).value, { details: { restarted: true } });
  t.equal((await after(session.fill(0, 64, 1, { signal }))).value, 0);
  board.reset();
  t.match(
    (await after(session.ping())).value,
    { details: { restarted: true } },
    'the keeper hears of it first',
  );
  t.match((await after(session.fill(0, 64, 1, { signal }))).value, { details: { restarted: true } });
  t.equal((await after(session.fill(0, 64, 1, { signal }))).value, 0);
});

t.test('a board that starts late, or starts within a hello, is asked again', async (t) => {
  /** Silent until `bootMs`, when it says that it came up. */
  const late = (bootMs: number) => {
    const up = { yet: false };
    const rig = bench(t, { toBoard: () => up.yet });
    void rig.clock.sleep(bootMs).then(() => {
      up.yet = true;
      rig.board.reset(0);
    });
    return rig;
  };
  // Of the five hellos, the boot ends each in turn, the last one too.
  for (const bootMs of [100, 400, 800, 1000, 1300]) {
    const { session, after } = late(bootMs);
    t.match(
      (await after(session.hello({ signal }))).value,
      { board: 'nucleo-l4r5zi' },
      `a boot after ${bootMs} ms`,
    );
  }
  const slow = late(20_000);
  t.match((await slow.after(slow.session.hello({ signal, bootMs: 30_000 }))).value, {
    board: 'nucleo-l4r5zi',
  });
  const dead = late(60_000);
  const given = await dead.after(dead.session.hello({ signal, bootMs: 10_000 }));
  t.match(given.value, { code: 'DEVICE_FAILED', details: { unanswered: true } });
  t.ok(given.ms >= 10_000 && given.ms < 12_000, `given up after ${given.ms} ms`);

  const loop = bench(t, {
    toBoard: ({ kind }) => {
      if (kind === kinds.hello) queueMicrotask(() => loop.board.reset(3));
      return false;
    },
  });
  t.match((await loop.after(loop.session.hello({ signal }))).value, { details: { restarted: true } });
});

t.test('the boot loader is asked for; firmware of before does not know it and goes on', async (t) => {
  for (const linkVersion of [1, 2] as const) {
    const { session, after } = bench(t, { linkVersion });
    t.match((await after(session.enterLoader({ signal }))).value, { code: 'STATE_CONFLICT' });
    t.same((await after(session.echo(Uint8Array.of(5), { signal }))).value, Uint8Array.of(5));
  }
  for (const [name, options] of [
    ['answers and leaves', {}],
    ['leaves before its answer is read', { toHost: loseOnce(kinds.loader | kinds.reply) }],
  ] as const) {
    const { session, after } = bench(t, { loader: true, ...options });
    t.equal((await after(session.enterLoader({ signal }))).value, undefined, name);
    t.match(session.lost, { code: 'DEVICE_FAILED', details: { lost: true } });
  }
});

t.test(
  'an answer that broke off swallows no later one; a nonce that repeats opens a session all the same',
  async (t) => {
    let cutAt = 0;
    const { session, clock, after, board } = bench(t, {}, (line) => ({
      ...line,
      onBytes: (listener) =>
        line.onBytes((bytes) => {
          listener(cutAt > 0 ? bytes.subarray(0, cutAt) : bytes);
          cutAt = 0;
        }),
    }));
    await after(session.hello({ signal }));
    for (cutAt of [1, 9, 70]) {
      const startMs = clock.nowMs();
      const lost = after(session.echo(new Uint8Array(100).fill(9), { signal }));
      while (cutAt > 0) await new Promise((resolve) => setImmediate(resolve));
      const { ms } = await after(session.hello({ signal }));
      t.ok(ms < 100, `hello is answered at once, after ${ms} ms`);
      await lost;
      t.ok(clock.nowMs() - startMs < 1000);
    }
    const constant = new BoardSession({ transport: board.line(), nonce: () => 0xffff_ffff, clock });
    for (let i = 0; i < 3; i++)
      t.match((await after(constant.hello({ signal }))).value, { board: 'nucleo-l4r5zi' });
    t.equal((await after(constant.echo(Uint8Array.of(1), { signal }))).value instanceof Uint8Array, true);
  },
);

t.test('another board at the same port is refused by name', async (t) => {
  const { board, session, after } = bench(t);
  await after(session.hello({ signal }));
  Object.assign(board.options, { chipId: 'ff'.repeat(16) });
  board.reset(0);
  const { value } = await after(session.ready({ signal }));
  t.match(value, { code: 'DEVICE_GONE', details: { another: 'ff'.repeat(16) } });
  t.match((value as Error).message, /nucleo-l4r5zi of chip id f+, where there was .*0123/);
  t.match((await after(session.upload('ram', program, { signal }))).value, { code: 'DEVICE_GONE' });
  Object.assign(board.options, { chipId: '0123456789abcdef0123456789abcdef' });
  t.match(
    (await after(session.upload('ram', program, { signal }))).value,
    { operators: 1 },
    'the former one is back',
  );
});

/** A line that loses one byte in `every`, in either direction. */
const losingBytes =
  (every: number, seed: number) =>
  (line: Transport): Transport => {
    const rng = Xoshiro128.fromSeed(seed);
    const lossy = (bytes: Uint8Array): Uint8Array => bytes.filter(() => rng.next() >= 1 / every);
    return {
      ...line,
      write: (bytes) => line.write(lossy(bytes)),
      onBytes: (listener) => line.onBytes((bytes) => listener(lossy(bytes))),
    };
  };

t.test('chunks become short where bytes get lost, in both directions, and long again', async (t) => {
  const long = new Uint8Array(20_000);
  long.set(program);
  const view = new DataView(long.buffer);
  view.setUint32(8, long.length, true);
  for (const every of [900, 300]) {
    const { board, session, clock, after } = bench(t, {}, losingBytes(every, every));
    const sent = await after(session.upload('ram', long, { signal }));
    t.match(sent.value, { operators: 1 }, `one byte in ${every}: uploaded in ${sent.ms} ms`);
    t.ok(board.heard.filter((kind) => kind === kinds.data).length > 40, 'in short chunks');
    const read = await after(session.read(0, 20_000, { signal }));
    t.equal((read.value as Uint8Array).length, 20_000, `read in ${read.ms} ms`);
    const wrote = await after(session.write(0, new Uint8Array(5000), { signal }));
    t.equal(wrote.value, undefined);
    t.ok(clock.nowMs() < 200_000);
  }
  let lossy = true;
  const rng = Xoshiro128.fromSeed(1);
  const sizes: number[] = [];
  const { session, after } = bench(t, {
    toBoard: ({ kind, payload }) => {
      if (kind === kinds.data) sizes.push(payload.length - 4);
      return !lossy || payload.length < 200 || rng.next() < 0.3;
    },
  });
  await after(session.upload('ram', long, { signal }));
  t.ok(Math.min(...sizes) < 300);
  lossy = false;
  sizes.length = 0;
  view.setUint32(60, 1, true);
  await after(session.upload('ram', long, { signal }));
  view.setUint32(60, 2, true);
  await after(session.upload('ram', long, { signal }));
  t.equal(Math.max(...sizes), 1024, 'a line that became quiet is used in full again');
});
