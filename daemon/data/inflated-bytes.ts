import { pipeline } from 'node:stream';
import { createInflateRaw } from 'node:zlib';
import { HildaError } from '../core/errors.js';
import type { ByteSource } from './contract.js';
import { invalid } from './invalid.js';

/** Bytes that are taken and given at once. */
const stepBytes = 2 ** 18;
/** Data up to this size stays in memory once it is unpacked. */
const keptBytes = 64 * 2 ** 20;

/**
 * The bytes that a raw deflate stream (RFC 1951) unpacks to. Reading goes forward through the stream and holds only what
 * was asked for; a read before the last one's end starts over, unless the whole is small enough to be kept.
 * Throws DATA_INVALID for a damaged stream and for one whose length differs from `size`.
 */
export function inflatedBytes(packed: ByteSource, size: number): ByteSource {
  const { name } = packed;
  let turn: Promise<unknown> = Promise.resolve();
  let stream = forward(packed);
  let at = 0;
  let whole: Uint8Array | undefined;

  const take = async (position: number, length: number): Promise<Uint8Array> => {
    if (position + length > size) throw invalid(`${name} ends after ${size} bytes`);
    if (size <= keptBytes) {
      whole ??= await stream.take(size);
      if (at === 0) await stream.end();
      at = size;
      return whole.slice(position, position + length);
    }
    if (position < at) {
      stream.stop();
      stream = forward(packed);
      at = 0;
    }
    await stream.skip(position - at);
    const bytes = await stream.take(length);
    at = position + length;
    if (at === size) await stream.end();
    return bytes;
  };
  return {
    name,
    size,
    read(position, length) {
      const next = turn.then(() => take(position, length));
      turn = next.catch(() => {});
      return next;
    },
    close: () => {
      stream.stop();
      return packed.close();
    },
  };
}

/** One pass through a stream. */
function forward(packed: ByteSource): {
  readonly take: (length: number) => Promise<Uint8Array>;
  readonly skip: (length: number) => Promise<void>;
  /** Throws where the stream gives more. */
  readonly end: () => Promise<void>;
  readonly stop: () => void;
} {
  const stream = pipeline(piecesOf(packed), createInflateRaw({ chunkSize: stepBytes }), () => {});
  const chunks = stream[Symbol.asyncIterator]();
  let rest: Uint8Array = new Uint8Array(0);
  /** Whether bytes are left. */
  const refill = async (): Promise<boolean> => {
    while (rest.length === 0) {
      const { value, done } = await chunks.next().catch((cause: unknown) => {
        throw cause instanceof HildaError
          ? cause
          : invalid(`${packed.name} is damaged: it does not unpack`, { cause });
      });
      if (done) return false;
      rest = value as Uint8Array;
    }
    return true;
  };
  const some = async (length: number, into?: Uint8Array): Promise<void> => {
    for (let filled = 0; filled < length; ) {
      if (!(await refill())) throw invalid(`${packed.name} unpacks to fewer bytes than its directory says`);
      const used = Math.min(rest.length, length - filled);
      into?.set(rest.subarray(0, used), filled);
      rest = rest.subarray(used);
      filled += used;
    }
  };
  return {
    async take(length) {
      const bytes = new Uint8Array(length);
      await some(length, bytes);
      return bytes;
    },
    skip: (length) => some(length),
    async end() {
      if (await refill()) throw invalid(`${packed.name} unpacks to more bytes than its directory says`);
    },
    stop: () => stream.destroy(),
  };
}

async function* piecesOf(packed: ByteSource): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < packed.size; at += stepBytes)
    yield await packed.read(at, Math.min(stepBytes, packed.size - at));
}
