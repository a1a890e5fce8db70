import { SimulatedClock } from '../../../daemon/core/simulated-clock.js';
import { encodeFrame, FrameDecoder } from '../../../firmware-bridge/link/frames.js';
import { BoardSession, type Transport } from '../../../firmware-bridge/link/index.js';
import { kinds } from '../../../firmware-bridge/link/messages.js';
import { ScriptedBoard } from '../../link/scripted-board.js';
import { fillProgram } from '../../link/tiny-program.js';
import type { FuzzTarget } from '../guided.js';
import { mutateBytes } from '../mutate.js';

/** The line as bytes: what the decoder takes for a frame must be one when it is sent again. */
export const frameTarget: FuzzTarget<Uint8Array> = {
  name: 'frames',
  seeds: () => [
    encodeFrame({ kind: kinds.hello, request: 1, session: 7, payload: new Uint8Array(0) }),
    encodeFrame({ kind: kinds.echo, request: 2, session: 7, payload: new Uint8Array(600).fill(3) }),
    encodeFrame({ kind: kinds.data, request: 3, session: 7, payload: Uint8Array.of(0, 0, 1, 0, 2) }),
  ],
  mutate: mutateBytes,
  run: (bytes) => {
    const again = new FrameDecoder();
    for (const frame of new FrameDecoder().push(bytes)) {
      const [echoed, more] = again.push(encodeFrame(frame));
      if (!echoed || more || !Buffer.from(echoed.payload).equals(frame.payload))
        throw new Error('a frame is another one when it is sent again');
    }
  },
};

/** How a lying board answers: the first byte of each record. */
const manners = {
  reply: 0,
  error: 1,
  want: 2,
  boot: 3,
  log: 4,
  progress: 5,
  silence: 6,
  otherKind: 7,
} as const;

function recordsOf(bytes: Uint8Array): { readonly manner: number; readonly payload: Uint8Array }[] {
  const records = [];
  for (let at = 0; at + 2 <= bytes.length; ) {
    const length = Math.min(bytes[at + 1] as number, bytes.length - at - 2);
    records.push({ manner: (bytes[at] as number) % 8, payload: bytes.subarray(at + 2, at + 2 + length) });
    at += 2 + length;
  }
  return records;
}

const record = (manner: number, payload: Uint8Array): Buffer =>
  Buffer.concat([Uint8Array.of(manner, Math.min(255, payload.length)), payload.subarray(0, 255)]);

/** A board whose frames are sound and whose content is a lie, from the first hello to the end of a run. */
export const boardTarget: FuzzTarget<Uint8Array> = {
  name: 'board',
  seeds: async () => {
    const replies: Buffer[] = [];
    const clock = new SimulatedClock();
    const board = new ScriptedBoard({ clock });
    const heard = new FrameDecoder();
    const inner = board.line();
    await talk(
      {
        ...inner,
        onBytes: (listener) =>
          inner.onBytes((bytes) => {
            for (const { kind, payload } of heard.push(bytes))
              if ((kind & kinds.reply) !== 0 && kind !== kinds.error)
                replies.push(record(manners.reply, payload));
            listener(bytes);
          }),
      },
      clock,
    );
    const whole = Buffer.concat(replies);
    const refused = record(manners.error, Uint8Array.of(kinds.run, 11, 0, 0, 6, 0, 0, 0));
    return [whole, Buffer.concat([...replies.slice(0, -1), refused]), Buffer.concat([...replies, refused])];
  },
  mutate: mutateBytes,
  run: async (bytes) => {
    const clock = new SimulatedClock();
    await talk(lyingBoard(recordsOf(bytes)), clock);
  },
};

async function talk(transport: Transport, clock: SimulatedClock): Promise<void> {
  const { signal } = new AbortController();
  const session = new BoardSession({ transport, clock, nonce: () => 7 });
  try {
    await session.hello({ signal });
    await session.upload('ram', fillProgram(7), { signal });
    await session.run({ slot: 'ram', signal, limitMs: 1000, timeoutMs: 2000 });
    await session.ticks(1, { signal });
    await session.read(0, 8, { signal });
    await session.ping({ signal });
  } finally {
    await session.close();
  }
}

function lyingBoard(records: ReturnType<typeof recordsOf>): Transport {
  const asked = new FrameDecoder();
  let listener: (bytes: Uint8Array) => void = () => {};
  let next = 0;
  return {
    name: 'a board that lies',
    write: async (bytes) => {
      for (const { kind, request, session } of asked.push(bytes)) {
        const say = (as: number, payload: Uint8Array): void =>
          listener(encodeFrame({ kind: as, request, session, payload }));
        // Announcements come before the answer.
        for (let isAnswered = false; !isAnswered; ) {
          const said = records[next++];
          isAnswered = true;
          if (!said || said.manner === manners.silence) break;
          if (said.manner === manners.reply) say(kind | kinds.reply, said.payload);
          else if (said.manner === manners.error) say(kinds.error, said.payload);
          else if (said.manner === manners.otherKind) say((said.payload[0] ?? 0) | kinds.reply, said.payload);
          else {
            isAnswered = false;
            const announced = [0, 0, kinds.want, kinds.boot, kinds.log, kinds.progress][
              said.manner
            ] as number;
            say(announced, said.payload);
          }
        }
      }
    },
    onBytes: (heard) => {
      listener = heard;
    },
    onClose: () => {},
    close: async () => {},
  };
}
