import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { readSpec } from '../../daemon/cli/read-input.js';
import { SimulatedClock } from '../../daemon/core/simulated-clock.js';
import { encodeFrame, type Frame, FrameDecoder } from '../../firmware-bridge/link/frames.js';
import { BoardSession } from '../../firmware-bridge/link/index.js';
import { kinds, pack } from '../../firmware-bridge/link/messages.js';
import { codeOf } from '../contract/store-samples.js';
import { ScriptedBoard } from '../link/scripted-board.js';
import { fillProgram } from '../link/tiny-program.js';

/** One example of each kind of fault that fuzzing found. */
const { signal } = new AbortController();

/** A sound board, some of whose frames are replaced on the way. */
async function withLies<T>(
  lie: (frame: Frame) => Uint8Array | undefined,
  work: (session: BoardSession, say: (frame: Frame) => void) => Promise<T>,
): Promise<T> {
  const clock = new SimulatedClock();
  const line = new ScriptedBoard({ clock }).line();
  const decoder = new FrameDecoder();
  let heard: (bytes: Uint8Array) => void = () => {};
  const transport = {
    ...line,
    onBytes: (listener: (bytes: Uint8Array) => void) => {
      heard = listener;
      line.onBytes((bytes) => {
        for (const frame of decoder.push(bytes))
          listener(encodeFrame({ ...frame, payload: lie(frame) ?? frame.payload }));
      });
    },
  };
  const session = new BoardSession({ transport, clock, nonce: () => 7 });
  try {
    await session.hello({ signal });
    return await work(session, (frame) => heard(encodeFrame(frame)));
  } finally {
    await session.close();
  }
}

const changed = (payload: Uint8Array, change: (view: DataView) => void): Uint8Array => {
  const copy = Uint8Array.from(payload);
  change(new DataView(copy.buffer));
  return copy;
};
const reply = (kind: number) => kind | kinds.reply;
const upload = (session: BoardSession) => session.upload('ram', fillProgram(7), { signal });

t.test('a board whose hello leaves no room for a piece is refused', async (t) => {
  for (const [offset, bytes] of [
    [44, 0],
    [44, 4],
    [44, 5],
    [46, 0],
    [46, 1],
  ] as const)
    t.equal(
      await codeOf(
        withLies(
          ({ kind, payload }) =>
            kind === reply(kinds.hello)
              ? changed(payload, (view) => view.setUint16(offset, bytes, true))
              : undefined,
          upload,
        ),
      ),
      'FIRMWARE_MISMATCH',
      `${bytes} at ${offset}`,
    );
});

t.test('an upload that the board answers and never takes ends', async (t) => {
  const lies: Readonly<Record<string, (frame: Frame) => Uint8Array | undefined>> = {
    'no window': ({ kind }) => (kind === reply(kinds.begin) ? pack([0, 32], [0, 32]) : undefined),
    'a short answer': ({ kind }) => (kind === reply(kinds.begin) ? pack([0, 16]) : undefined),
    'nothing received': ({ kind }) => (kind === reply(kinds.data) ? pack([0, 32]) : undefined),
    'no facts': ({ kind }) => (kind === reply(kinds.finish) ? pack([0, 32]) : undefined),
  };
  for (const [title, lie] of Object.entries(lies))
    t.equal(await codeOf(withLies(lie, upload)), 'DEVICE_FAILED', title);
});

t.test('answers of another length are no values', async (t) => {
  for (const [kind, ask] of [
    [kinds.ticks, (session: BoardSession) => session.ticks(1, { signal })],
    [kinds.read, (session: BoardSession) => session.read(0, 8, { signal })],
    [kinds.ping, (session: BoardSession) => session.ping({ signal })],
    [kinds.fill, (session: BoardSession) => session.fill(0, 8, 1, { signal })],
  ] as const)
    t.equal(
      await codeOf(
        withLies(
          (frame) => (frame.kind === reply(kind) ? new Uint8Array(0) : undefined),
          async (session) => {
            await upload(session);
            await session.run({ slot: 'ram', limitMs: 1000, timeoutMs: 1000, signal });
            await ask(session);
          },
        ),
      ),
      'DEVICE_FAILED',
      `kind ${kind}`,
    );
});

t.test('a board that wants more input than there can be gets none', async (t) => {
  const far = 2 ** 32 - 1;
  const report = await withLies(
    () => undefined,
    async (session, say) => {
      await upload(session);
      const run = session.run({ slot: 'ram', limitMs: 1000, timeoutMs: 1000, signal });
      for (const payload of [pack([far, 32], [far, 32]), pack([0, 32], [far, 32]), pack([0, 8])])
        say({ kind: kinds.want, request: 0, session: 0, payload });
      return run;
    },
  );
  t.equal(report.operators, 1);
});

t.test('a specification that is no YAML has a code, with any error of the parser', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'hilda-found-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const bomb = [
    'a: &a [1, 1]',
    ...'bcdefghijkl'.split('').map((name, i) => {
      const before = 'abcdefghijkl'[i] as string;
      return `${name}: &${name} [${Array(10).fill(`*${before}`).join(', ')}]`;
    }),
  ].join('\n');
  for (const text of ['a: *nobody', 'a: [', bomb]) {
    const path = join(folder, 'spec.yaml');
    await writeFile(path, text);
    t.equal(await codeOf(readSpec(path)), 'SPEC_INVALID', text.slice(0, 20));
  }
});
