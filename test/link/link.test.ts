import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { code, reference } from '../../firmware-bridge/compiler/layout/format.js';
import { encodeFrame, FrameDecoder } from '../../firmware-bridge/link/frames.js';
import { BoardSession, type Transport } from '../../firmware-bridge/link/index.js';
import { kinds, pack } from '../../firmware-bridge/link/messages.js';
import { CaseBuilder } from '../firmware/program-case.js';
import { compileHostBoard, type HostBoardOptions, startHostBoard } from './host-firmware.js';
import { fillProgram } from './tiny-program.js';

t.setTimeout(900_000);
const signal = AbortSignal.timeout(600_000);
let nonces = 1;
const nonce = (): number => nonces++;

const board = await compileHostBoard();

/** A session with the firmware as a process, closed at the test's end. */
async function openBoard(
  t: Test,
  options: HostBoardOptions & { readonly through?: (line: Transport) => Transport } = {},
): Promise<{ session: BoardSession; line: ReturnType<typeof startHostBoard> }> {
  const line = startHostBoard(board, options);
  const session = new BoardSession({ transport: options.through?.(line) ?? line, nonce, patience: 3 });
  t.teardown(() => session.close());
  await session.hello({ signal });
  t.equal(session.board.clockPpm, 100, 'how far its clock may be off');
  return { session, line };
}

t.test('a program is sent, checked, run and read back', async (t) => {
  const { session } = await openBoard(t);
  t.equal(session.board.board, 'host');
  const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i % 256);
  t.same(await session.echo(bytes, { signal }), bytes);
  await session.preparePool({ signal });
  t.equal((await session.hello({ signal })).poolSeed, 0x9e3779b9);
  const facts = await session.upload('ram', fillProgram(7, 100), { signal });
  t.match(facts, { arenaBytes: 116, operators: 1, inputOffset: 100, outputBytes: 100 });
  const run = await session.run({ slot: 'ram', paint: 0xa5, limitMs: 1000, timeoutMs: 2000, signal });
  t.equal(run.operators, 1);
  t.equal(run.arenaPeakBytes, 101, 'the output and the byte of input behind it');
  t.same(await session.read(0, 100, { signal }), new Uint8Array(100).fill(7));
  t.equal((await session.ticks(1, { signal })).length, 1);
  await session.write(5, Uint8Array.of(1, 2, 3), { signal });
  t.same(await session.read(4, 5, { signal }), Uint8Array.of(7, 1, 2, 3, 7));
});

t.test('refusals are typed, and the board answers hello afterwards', async (t) => {
  const { session } = await openBoard(t);
  const program = fillProgram(1);
  const changed = (offset: number, value: number): Uint8Array => {
    const copy = program.slice();
    new DataView(copy.buffer).setUint32(offset, value, true);
    return copy;
  };
  const upload = (bytes: Uint8Array) => session.upload('ram', bytes, { signal });
  await t.rejects(upload(changed(0, 0)), { code: 'NETWORK_REJECTED' }, 'no header');
  await t.rejects(
    upload(changed(4, 1 | (96 << 16))),
    { code: 'NETWORK_REJECTED', hint: /[Dd]eploy/ },
    'a former ABI',
  );
  await t.rejects(upload(changed(12, 2 ** 31)), { code: 'NETWORK_REJECTED' }, '2^31 operators');
  await t.rejects(
    upload(changed(64 + 20, 0x3ffffff0)),
    { code: 'NETWORK_REJECTED' },
    'output outside the arena',
  );
  await t.rejects(upload(changed(24, 0x10000000)), { code: 'DEVICE_OUT_OF_MEMORY' }, 'a giant arena');
  await t.rejects(
    upload(new Uint8Array(300_000)),
    { code: 'DEVICE_OUT_OF_MEMORY' },
    'more than the board holds',
  );
  // Work memory less the program and the ticks of its operator is what the arena may take: one byte more is too much.
  const { workBytes } = session.board;
  const room = (workBytes - Math.ceil(program.length / 16) * 16 - 4) & ~15;
  await upload(changed(24, room));
  await t.rejects(upload(changed(24, room + 1)), { code: 'DEVICE_OUT_OF_MEMORY' }, 'one byte too much');
  await t.rejects(session.run({ slot: 'ram', limitMs: 100, timeoutMs: 500, signal }), {
    code: 'DEVICE_FAILED',
  });
  await t.rejects(session.run({ slot: 'deployed', limitMs: 100, timeoutMs: 500, signal }), {
    code: 'DEVICE_FAILED',
  });
  await t.rejects(session.read(workBytes - 3, 4, { signal }), { code: 'DEVICE_FAILED' });
  await t.rejects(session.write(0xfffffff0, new Uint8Array(64), { signal }), { code: 'DEVICE_FAILED' });
  t.ok(await session.hello({ signal }));
});

/** A line whose board says in hello that it takes programs of another ABI. */
function ofAbi(line: Transport, number: number): Transport {
  const decoder = new FrameDecoder();
  return {
    ...line,
    onBytes: (listener) =>
      line.onBytes((bytes) => {
        for (const frame of decoder.push(bytes)) {
          const payload = frame.payload.slice();
          if (frame.kind === (kinds.hello | kinds.reply))
            new DataView(payload.buffer).setUint16(2, number, true);
          listener(encodeFrame({ ...frame, payload }));
        }
      }),
  };
}

t.test('firmware of another ABI is refused at hello, with the remedy', async (t) => {
  for (const [number, hint] of [
    [1, /Flash the board again/],
    [99, /newer hilda/],
  ] as const) {
    const line = startHostBoard(board);
    const session = new BoardSession({ transport: ofAbi(line, number), nonce, patience: 3 });
    t.teardown(() => session.close());
    await t.rejects(session.hello({ signal }), {
      code: 'FIRMWARE_MISMATCH',
      hint,
      details: { abi: number, board: 'host' },
    });
  }
});

/** A program whose input comes in `slices` of `bytes`: its output is its input. */
function fetchProgram(slices: number, bytes: number): Uint8Array {
  const builder = new CaseBuilder();
  builder.input = new Uint8Array(slices * bytes);
  const at = builder.reserve(slices * bytes);
  builder.record({ code: code.loop, count: 1, rows: { rows: slices } });
  builder.record({
    code: code.fetch,
    out: reference('arena', at),
    inStep: bytes,
    outStep: bytes,
    rows: { rows: 1, n: bytes, offset: 0 },
  });
  const { program } = builder.build('slices');
  new DataView(program.buffer).setUint32(44, slices * bytes, true);
  return program;
}

t.test('an input that is fetched comes in slices, over a bad line as well', async (t) => {
  const rng = Xoshiro128.fromSeed(8);
  // A slice is longer than a frame holds.
  const program = fetchProgram(6, 2500);
  const input = Uint8Array.from({ length: 15_000 }, () => Math.floor(256 * rng.next()));
  for (const share of [0, 0.04]) {
    const { session } = await openBoard(t, share ? { through: (line) => faulty(line, rng, share) } : {});
    const facts = await session.upload('ram', program, { signal });
    t.match(facts, { inputOffset: null, inputBytes: 15_000, outputBytes: 15_000 });
    await session.run({ slot: 'ram', input, limitMs: 1000, timeoutMs: 20_000, signal });
    const output = await session.read(facts.outputOffset, facts.outputBytes, { signal });
    t.ok(Buffer.from(input).equals(output), `${share} of the frames damaged`);
  }
  const { session } = await openBoard(t);
  await session.preparePool({ signal });
  await session.upload('ram', program, { signal });
  await session.run({ slot: 'ram', limitMs: 1000, timeoutMs: 5000, signal });
  t.ok(
    (await session.read(0, 1000, { signal })).some((byte) => byte !== 0),
    'without an input: the pool',
  );
});

t.test('an input that does not come ends the run, not the board', async (t) => {
  const { session } = await openBoard(t, {
    through: (line) => {
      const decoder = new FrameDecoder();
      const deaf: Transport = {
        ...line,
        onBytes: (listener) =>
          line.onBytes((bytes) => {
            for (const frame of decoder.push(bytes))
              if (frame.kind !== kinds.want) listener(encodeFrame(frame));
          }),
      };
      return deaf;
    },
  });
  await session.upload('ram', fetchProgram(2, 100), { signal });
  const input = new Uint8Array(200);
  await t.rejects(session.run({ slot: 'ram', input, limitMs: 1000, timeoutMs: 20_000, signal }), {
    code: 'NETWORK_REJECTED',
    message: /its input did not come/,
  });
  t.same(await session.ping(), { running: null });
});

t.test('cancel and time limit end a run that would last for hours', async (t) => {
  const { session } = await openBoard(t);
  await session.upload('ram', fillProgram(1, 100_000, 1 << 20), { signal });
  await t.rejects(session.run({ slot: 'ram', limitMs: 50, timeoutMs: 5000, signal }), {
    code: 'DEVICE_TIMEOUT',
  });
  t.same(await session.ping(), { running: null });
});

/** A line that loses frames from the board by their kind. */
const losing =
  (loses: (kind: number) => boolean) =>
  (line: Transport): Transport => {
    const decoder = new FrameDecoder();
    return {
      ...line,
      onBytes: (listener) =>
        line.onBytes((bytes) => {
          for (const frame of decoder.push(bytes)) if (!loses(frame.kind)) listener(encodeFrame(frame));
        }),
    };
  };

t.test('the firmware keeps the report of a run whose reply got lost', async (t) => {
  let replies = 0;
  const { session } = await openBoard(t, {
    through: losing((kind) => kind === (kinds.run | kinds.reply) && replies++ === 0),
  });
  await session.upload('ram', fillProgram(4, 100), { signal });
  const run = { slot: 'ram', paint: 0xa5, limitMs: 1000, timeoutMs: 60_000, signal } as const;
  const asked = await session.run(run);
  t.equal(replies, 1, 'it ran once');
  const { operators, arenaPeakBytes, outputCrc } = asked;
  t.match(await session.run(run), { operators, arenaPeakBytes, outputCrc }, 'as it is reported by itself');
  t.ok(asked.ticks > 0);
  let errors = 0;
  const { session: other } = await openBoard(t, {
    through: losing((kind) => kind === kinds.error && errors++ === 0),
  });
  await other.upload('ram', fillProgram(1, 100_000, 1 << 20), { signal });
  await t.rejects(other.run({ ...run, limitMs: 50 }), { code: 'DEVICE_TIMEOUT' }, 'a refusal as well');
});

t.test('an abort that the board does not hear: the next hello ends the run', async (t) => {
  const { session } = await openBoard(t, {
    through: (line) => ({
      ...line,
      write: async (bytes) => {
        const [frame] = new FrameDecoder().push(bytes);
        if (frame?.kind !== kinds.cancel) await line.write(bytes);
      },
    }),
  });
  await session.upload('ram', fillProgram(1, 100_000, 1 << 20), { signal });
  const aborting = new AbortController();
  const endless = session.run({ slot: 'ram', limitMs: 0, timeoutMs: 600_000, signal: aborting.signal });
  setTimeout(() => aborting.abort(new Error('enough')), 200);
  await t.rejects(endless, { message: 'enough' });
  await session.upload('ram', fillProgram(2), { signal });
  t.match(await session.run({ slot: 'ram', limitMs: 1000, timeoutMs: 2000, signal }), { operators: 1 });
});

t.test('a pool that takes long is filled with progress, pings are answered, an abort ends it', async (t) => {
  let progress = 0;
  const { session } = await openBoard(t, {
    eraseMs: 60,
    through: losing((kind) => kind === kinds.progress && progress++ < 0),
  });
  const aborting = new AbortController();
  setTimeout(() => aborting.abort(new Error('enough')), 150);
  await t.rejects(session.preparePool({ signal: aborting.signal }), { message: 'enough' });
  t.equal(session.board.poolSeed, 0);
  progress = 0;
  const filling = session.preparePool({ signal });
  await new Promise((resolve) => setTimeout(resolve, 100));
  const heard = session.heard;
  t.same(await session.ping(), { running: null });
  t.ok(session.heard > heard);
  await filling;
  t.equal(progress, 32, 'for each 4 KB that is erased, and each that is written');
  progress = 0;
  t.equal((await session.hello({ signal })).poolSeed, 0x9e3779b9);
});

t.test('a counter that wraps within an operator: the total is right, its entry is full', async (t) => {
  const { session } = await openBoard(t, { tickScale: 400 });
  await session.upload('ram', fillProgram(1, 100_000, 1 << 17), { signal });
  const run = await session.run({ slot: 'ram', limitMs: 0, timeoutMs: 60_000, signal });
  t.ok(run.ticks > 2 ** 32, `${run.ticks} ticks`);
  t.same((await session.ticks(2, { signal }))[0], 2 ** 32 - 1);
});

t.test('replayed, foreign and reordered frames have no effect', async (t) => {
  const line = startHostBoard(board);
  t.teardown(() => line.close());
  const decoder = new FrameDecoder();
  const queue: ReturnType<FrameDecoder['push']> = [];
  let wake = (): void => {};
  line.onBytes((bytes) => {
    queue.push(...decoder.push(bytes).filter(({ kind }) => kind !== kinds.boot));
    wake();
  });
  const ask = async (kind: number, request: number, session: number, payload = pack()): Promise<number[]> => {
    await line.write(encodeFrame({ kind, request, session, payload }));
    while (queue.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    const { kind: answer, payload: said } = queue.shift() as (typeof queue)[number];
    return answer === kinds.error ? [answer, said[1] as number] : [answer];
  };
  t.same(await ask(kinds.ping, 1, 9), [0xff, 1], 'no session yet');
  t.same(await ask(kinds.hello, 1, 9), [0x81]);
  t.same(await ask(kinds.ping, 2, 9), [0x82]);
  t.same(await ask(kinds.ping, 2, 9), [0xff, 2], 'the same again');
  t.same(await ask(kinds.ping, 1, 9), [0xff, 2], 'an older one');
  t.same(await ask(kinds.ping, 3, 8), [0xff, 1], 'another session');
  t.same(await ask(kinds.ping, 40000, 9), [0xff, 2], 'too far ahead is behind');
  t.same(await ask(kinds.ping, 32000, 9), [0x82]);
  t.same(await ask(kinds.ping, 64000, 9), [0x82]);
  t.same(await ask(kinds.ping, 5, 9), [0x82], 'ids wrap');
  t.same(await ask(0x66, 6, 9), [0xff, 3], 'unknown');
  t.same(await ask(kinds.run, 7, 9, pack([0, 8])), [0xff, 4], 'malformed');
});

t.test('for every input, the firmware reads and writes only what is its own', async (t) => {
  const rng = Xoshiro128.fromSeed(11);
  const below = (n: number): number => Math.floor(rng.next() * n);
  const { session, line } = await openBoard(t);
  await session.preparePool({ signal });
  const sound = fillProgram(3, 40, 3);
  let request = 0;
  const interesting = [0, 1, 4, 15, 16, 255, 1024, 65535, 2 ** 18, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
  for (let burst = 0; burst < 60; burst++) {
    const id = 1_000_000 + burst;
    const bytes = [
      encodeFrame({ kind: kinds.hello, request: ++request & 0xffff, session: id, payload: pack() }),
    ];
    for (let i = 0; i < 60; i++) {
      const kind = below(8) ? 1 + below(15) : below(256);
      // Never waited for here: runs of hours and restarts have tests of their own.
      if (kind === kinds.reset) continue;
      const word = (): number =>
        below(2) ? (interesting[below(interesting.length)] as number) : below(2 ** 32);
      let payload = pack([below(4), 8], [word(), 32], [word(), 32], [word(), 32]).subarray(0, below(14));
      if (kind === kinds.run) payload = pack([below(4), 8], [below(8), 8], [below(256), 8], [0, 8], [20, 32]);
      if (kind === kinds.data && below(2)) {
        const mutant = sound.slice();
        for (let n = below(3); n > 0; n--) mutant[below(mutant.length)] = below(256);
        bytes.push(uploadFrames(mutant, id, () => ++request & 0xffff));
        continue;
      }
      bytes.push(encodeFrame({ kind, request: ++request & 0xffff, session: id, payload }));
      if (!below(10)) bytes.push(Uint8Array.from({ length: below(300) }, () => below(256)));
    }
    await line.write(Buffer.concat(bytes)).catch(() => {});
  }
  let told = '';
  for (let attempt = 0; attempt < 8 && told !== 'alive'; attempt++) {
    told = await session.hello({ signal }).then(
      () => 'alive',
      (error) => `${error.message}: ${line.errors()}`,
    );
  }
  t.equal(told, 'alive');
  t.equal((await session.echo(Uint8Array.of(1), { signal })).length, 1);
});

function uploadFrames(program: Uint8Array, session: number, next: () => number): Uint8Array {
  const crc = new DataView(new ArrayBuffer(4));
  crc.setUint32(0, crcOf(program));
  const begin = pack([0, 8], [0, 8], [0, 16], [program.length, 32], [crc.getUint32(0), 32]);
  const run = pack([0, 8], [3, 8], [0xa5, 8], [0, 8], [20, 32]);
  return Buffer.concat([
    encodeFrame({ kind: kinds.begin, request: next(), session, payload: begin }),
    encodeFrame({ kind: kinds.data, request: next(), session, payload: pack([0, 32], program) }),
    encodeFrame({ kind: kinds.finish, request: next(), session, payload: pack() }),
    encodeFrame({ kind: kinds.run, request: next(), session, payload: run }),
  ]);
}

/** A line that loses, damages and swaps what is written to it. */
function faulty(line: Transport, rng: Xoshiro128, share: number): Transport {
  let held: Uint8Array | undefined;
  return {
    ...line,
    write: async (bytes) => {
      const dice = rng.next() / share;
      if (dice < 1) return;
      if (dice < 2) {
        const damaged = bytes.slice();
        damaged[Math.floor(rng.next() * damaged.length)] = 0x55;
        return line.write(damaged);
      }
      if (dice < 3 && !held) {
        held = bytes;
        return;
      }
      await line.write(bytes);
      if (held) await line.write(held);
      held = undefined;
    },
  };
}

t.test('uploads arrive whole over a line that loses, damages and reorders', async (t) => {
  const rng = Xoshiro128.fromSeed(3);
  const { session } = await openBoard(t, { through: (line) => faulty(line, rng, 0.04) });
  const program = fillProgram(9, 64);
  const padded = new Uint8Array(40_000);
  padded.set(program);
  // The program says how long it is; constants fill the rest.
  const view = new DataView(padded.buffer);
  view.setUint32(8, padded.length, true);
  view.setUint32(16, 160, true);
  view.setUint32(20, padded.length - 160, true);
  for (let i = 160; i < padded.length; i++) padded[i] = (i * 31) % 251;
  t.match(await session.upload('ram', padded, { signal }), { operators: 1 });
});

t.test('an upload that broke off goes on where it stood, under another daemon', async (t) => {
  const { session, line } = await openBoard(t);
  const program = new Uint8Array(50_000).fill(5);
  const controller = new AbortController();
  await t.rejects(
    session.upload('ram', program, {
      signal: controller.signal,
      onProgress: (sent) => {
        if (sent > 20_000) controller.abort(new Error('the daemon died'));
      },
    }),
  );
  const second = new BoardSession({ transport: line, nonce, patience: 3 });
  await second.hello({ signal });
  const steps: number[] = [];
  await t.rejects(second.upload('ram', program, { signal, onProgress: (sent) => steps.push(sent) }), {
    code: 'NETWORK_REJECTED',
  });
  t.ok((steps[0] as number) > 20_000, `went on at ${steps[0]}`);
});

t.test(
  'power lost at any moment of a deployment: the former one runs, or the new one, never half',
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'hilda-flash-'));
    const flashPath = join(folder, 'flash.bin');
    const boot = async (cutAt?: number) => {
      const { session, line } = await openBoard(t, { flashPath, ...(cutAt === undefined ? {} : { cutAt }) });
      return { session, line };
    };
    const output = async (session: BoardSession): Promise<number> => {
      await session.run({ slot: 'deployed', limitMs: 1000, timeoutMs: 2000, signal });
      const bytes = await session.read(0, 64, { signal });
      t.ok(bytes.every((byte) => byte === bytes[0]));
      return bytes[0] as number;
    };
    let { session } = await boot();
    t.equal(session.board.deployedBytes, 0);
    await session.deploy(fillProgram(1), { signal });
    t.equal(await output(session), 1);
    await session.close();
    /** Erase, the program's page, the header's page. */
    const lastWrite = 2;
    let former = 1;
    let cuts = 0;
    for (let cutAt = 0; ; cutAt++) {
      ({ session } = await boot(cutAt));
      const value = 2 + cutAt;
      const done = await session.deploy(fillProgram(value), { signal }).then(
        () => true,
        () => false,
      );
      await session.close();
      ({ session } = await boot());
      const running = await output(session);
      await session.close();
      if (done) {
        t.equal(running, value);
        break;
      }
      cuts++;
      // The header's few bytes may be whole although its page is not: then the new one counts.
      t.ok(
        running === former || (running === value && cutAt === lastWrite),
        `cut at write ${cutAt}: ${running} runs`,
      );
      former = running;
    }
    t.ok(cuts >= 3, `${cuts} moments`);
    ({ session } = await boot());
    await session.erase({ signal });
    await session.close();
    ({ session } = await boot());
    t.equal(session.board.deployedBytes, 0);
  },
);

function crcOf(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}
