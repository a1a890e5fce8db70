import type { ChunkSize } from './chunk-size.js';
import { type Hello, kinds, pack, spaces, viewOf } from './messages.js';
import type { PatientLine } from './patient-line.js';
import { gotLost, NoReplyError, RefusedError } from './request-line.js';

type Sizes = Pick<Hello, 'maxPayloadBytes'>;

/** Requests in a row without an answer before the board counts as silent; the last ones are short. */
const mostFailures = 12;

/** `bytes` bytes of the arena from `offset` on, in as many requests as the board's payloads and the line ask for. */
export async function readArena(
  requests: PatientLine,
  { maxPayloadBytes }: Sizes,
  {
    offset,
    bytes,
    signal,
  }: { readonly offset: number; readonly bytes: number; readonly signal: AbortSignal },
): Promise<Uint8Array> {
  const out = new Uint8Array(bytes);
  await inChunks(requests, requests.down, { of: bytes, most: maxPayloadBytes }, async (at, count) => {
    const payload = pack([spaces.arena, 8], [offset + at, 32], [count, 16]);
    const timeoutMs = requests.timeout(300, count);
    const answer = await requests.line.request(kinds.read, payload, { signal, timeoutMs });
    if (answer.length !== count) throw requests.nonsense(`${answer.length} bytes in place of ${count}`);
    out.set(answer, at);
  });
  return out;
}

export async function writeArena(
  requests: PatientLine,
  { maxPayloadBytes }: Sizes,
  {
    offset,
    bytes,
    signal,
  }: { readonly offset: number; readonly bytes: Uint8Array; readonly signal: AbortSignal },
): Promise<void> {
  const sizes = { of: bytes.length, most: maxPayloadBytes - 5 };
  await inChunks(requests, requests.up, sizes, async (at, count) => {
    const payload = pack([spaces.arena, 8], [offset + at, 32], bytes.subarray(at, at + count));
    await requests.line.request(kinds.write, payload, { signal, timeoutMs: requests.timeout(300, count) });
  });
}

/** Ticks of each operator record of the last run. */
export async function readTicks(
  requests: PatientLine,
  { maxPayloadBytes }: Sizes,
  { operators, signal }: { readonly operators: number; readonly signal: AbortSignal },
): Promise<number[]> {
  const all = new Array<number>(operators).fill(0);
  const sizes = { of: operators, most: Math.floor(maxPayloadBytes / 4), unit: 4 };
  await inChunks(requests, requests.down, sizes, async (at, count) => {
    const timeoutMs = requests.timeout(300, 4 * count);
    const payload = pack([at, 16], [count, 16]);
    const answer = viewOf(await requests.line.request(kinds.ticks, payload, { signal, timeoutMs }));
    for (let i = 0; i < count; i++) all[at + i] = answer.getUint32(4 * i, true);
  });
  return all;
}

/** Goes through `of` units in chunks that become shorter where they get lost, each asked for until it came. */
async function inChunks(
  requests: PatientLine,
  size: ChunkSize,
  { of, most, unit = 1 }: { readonly of: number; readonly most: number; readonly unit?: number },
  ask: (at: number, count: number) => Promise<void>,
): Promise<void> {
  let failures = 0;
  const startUs = requests.clock.monotonicUs();
  for (let at = 0; at < of; ) {
    const count = Math.min(Math.max(1, Math.floor(size.within(most * unit) / unit)), of - at);
    try {
      await ask(at, count);
      size.came();
      at += count;
      failures = 0;
    } catch (thrown) {
      if (requests.isBusy(thrown, startUs)) {
        await requests.clock.sleep(100);
        continue;
      }
      if (!gotLost(thrown)) throw requests.explain(thrown);
      size.lost(count * unit);
      // A board that answers nothing at all is no noisy line.
      if (++failures === mostFailures) throw requests.explain(thrown);
    }
  }
}

/** A slice of the input, until the board wants another one. A part whose reply was lost is refused when it comes again. */
export async function sendInput(
  requests: PatientLine,
  { maxPayloadBytes }: Sizes,
  {
    offset,
    slice,
    wanted,
  }: { readonly offset: number; readonly slice: Uint8Array; readonly wanted: () => boolean },
): Promise<void> {
  for (let at = 0; at < slice.length && wanted(); ) {
    const part = slice.subarray(at, at + requests.up.within(maxPayloadBytes - 5));
    const payload = pack([spaces.input, 8], [offset + at, 32], part);
    try {
      await requests.line.request(kinds.write, payload, { timeoutMs: requests.timeout(300, part.length) });
      requests.up.came();
      at += part.length;
    } catch (thrown) {
      if (thrown instanceof NoReplyError) {
        requests.up.lost(part.length);
        continue;
      }
      const next = expectedOffset(thrown) - offset;
      if (!(next > at && next < slice.length)) throw thrown;
      at = next;
    }
  }
}

/** Where the board goes on, when it was sent something else. */
const expectedOffset = (thrown: unknown): number =>
  thrown instanceof RefusedError && thrown.details.refusal === 'order' ? thrown.details.detail : Number.NaN;
