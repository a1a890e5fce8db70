import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { encodeFrame, FrameDecoder, maxPayloadBytes } from '../../firmware-bridge/link/frames.js';
import { compileForHost } from './host-firmware.js';

interface Golden {
  readonly frames: readonly {
    readonly name: string;
    readonly kind: number;
    readonly request: number;
    readonly session: number;
    readonly payload: string;
    readonly wire: string;
  }[];
  readonly streams: readonly {
    readonly name: string;
    readonly wire: string;
    readonly frames: readonly { kind: number; request: number; session: number; payload: string }[];
    readonly dropped: number;
  }[];
}

const fromHex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const golden = JSON.parse(
  await readFile(fileURLToPath(new URL('../../../test/link/golden-frames.json', import.meta.url)), 'utf8'),
) as Golden;
t.setTimeout(300_000);

async function inC(lines: readonly string[]): Promise<string[]> {
  const program = await compileForHost(['boards/host/frames.c', 'link/frame.c', 'link/crc32.c'], 'frames');
  const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(lines.map((line) => `${line}\n`).join(''));
  let out = '';
  for await (const chunk of child.stdout) out += chunk;
  return out.trimEnd().split('\n');
}

/** What the C program prints for a stream, from the TypeScript decoder. */
function decodeText(wire: Uint8Array): string {
  const decoder = new FrameDecoder();
  const frames = decoder
    .push(wire)
    .map(({ kind, request, session, payload }) => `${kind} ${request} ${session} ${toHex(payload) || '-'}`);
  return `${frames.join(' | ')} # ${decoder.dropped}`;
}

t.test('golden vectors: C and TypeScript write and read the same bytes', async (t) => {
  const { frames, streams } = golden;
  for (const { name, wire, payload, ...frame } of frames) {
    t.equal(toHex(encodeFrame({ ...frame, payload: fromHex(payload) })), wire, name);
    t.same(new FrameDecoder().push(fromHex(wire)), [{ ...frame, payload: fromHex(payload) }], name);
  }
  for (const { name, wire, frames, dropped } of streams) {
    const decoder = new FrameDecoder();
    const got = decoder.push(fromHex(wire)).map((frame) => ({ ...frame, payload: toHex(frame.payload) }));
    t.same(got, frames, name);
    t.equal(decoder.dropped, dropped, name);
  }
  const encoded = frames.map((f) => `e ${f.kind} ${f.request} ${f.session} ${f.payload || '-'}`);
  const decoded = [...frames, ...streams].map(({ wire }) => `d ${wire}`);
  const answers = await inC([...encoded, ...decoded]);
  t.same(
    answers.slice(0, frames.length),
    frames.map(({ wire }) => wire),
  );
  t.same(
    answers.slice(frames.length),
    [...frames, ...streams].map(({ wire }) => decodeText(fromHex(wire))),
  );
});

t.test('damaged streams: both decoders keep and drop the same frames', async (t) => {
  const rng = Xoshiro128.fromSeed(6);
  const below = (n: number): number => Math.floor(rng.next() * n);
  const streams = Array.from({ length: 400 }, () => {
    const parts = Array.from({ length: 1 + below(4) }, () => {
      const payload = Uint8Array.from({ length: below(3) ? below(40) : below(maxPayloadBytes + 1) }, () =>
        below(2) ? 0 : below(256),
      );
      const wire = [
        ...encodeFrame({ kind: below(256), request: below(65536), session: below(2 ** 32), payload }),
      ];
      const damage = below(6);
      if (damage === 1) wire[below(wire.length)] = below(256);
      if (damage === 2) wire.splice(below(wire.length), 1 + below(3));
      if (damage === 3) wire.splice(below(wire.length), 0, below(256), below(256));
      if (damage === 4) wire.length = below(wire.length);
      return wire;
    });
    return Uint8Array.from(parts.flat());
  });
  t.same(await inC(streams.map((wire) => `d ${toHex(wire)}`)), streams.map(decodeText));
  for (const wire of streams.slice(0, 50)) {
    const decoder = new FrameDecoder();
    const piecewise = [...wire].flatMap((byte) => decoder.push(Uint8Array.of(byte)));
    t.same(piecewise, new FrameDecoder().push(wire), 'pieces do not matter');
  }
});
