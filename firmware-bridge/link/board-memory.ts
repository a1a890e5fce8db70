import { type Hello, kinds, pack, spaces } from './messages.js';
import type { PatientLine } from './patient-line.js';
import { NoReplyError, RefusedError } from './request-line.js';

type Sizes = Pick<Hello, 'maxPayloadBytes'>;

/** `bytes` bytes of the arena from `offset` on, in as many requests as the board's payloads ask for. */
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
  for (let at = 0; at < bytes; at += maxPayloadBytes) {
    const count = Math.min(maxPayloadBytes, bytes - at);
    const payload = pack([spaces.arena, 8], [offset + at, 32], [count, 16]);
    out.set(await requests.ask(kinds.read, payload, { signal, timeoutMs: requests.timeout(300, count) }), at);
  }
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
  const chunk = maxPayloadBytes - 5;
  for (let at = 0; at < bytes.length; at += chunk) {
    const part = bytes.subarray(at, at + chunk);
    const payload = pack([spaces.arena, 8], [offset + at, 32], part);
    await requests.ask(kinds.write, payload, { signal, timeoutMs: requests.timeout(300, part.length) });
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
  const chunk = maxPayloadBytes - 5;
  for (let at = 0; at < slice.length && wanted(); ) {
    const part = slice.subarray(at, at + chunk);
    const payload = pack([spaces.input, 8], [offset + at, 32], part);
    try {
      await requests.line.request(kinds.write, payload, { timeoutMs: requests.timeout(300, part.length) });
      at += part.length;
    } catch (thrown) {
      if (thrown instanceof NoReplyError) continue;
      const next = expectedOffset(thrown) - offset;
      if (!(next > at && next < slice.length)) throw thrown;
      at = next;
    }
  }
}

/** Where the board goes on, when it was sent something else. */
const expectedOffset = (thrown: unknown): number =>
  thrown instanceof RefusedError && thrown.details.refusal === 'order' ? thrown.details.detail : Number.NaN;
