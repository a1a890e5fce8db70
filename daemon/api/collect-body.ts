import type { IncomingMessage } from 'node:http';
import type { Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { HildaError } from '../core/errors.js';

const unpackers: ReadonlyMap<string, () => Transform> = new Map<string, () => Transform>([
  ['gzip', () => createGunzip()],
  ['deflate', () => createInflate()],
  ['br', () => createBrotliDecompress()],
]);

/**
 * The bytes of a request, unpacked. Throws REQUEST_TOO_LARGE at once where the stated length exceeds the limit, and otherwise
 * with the first byte beyond it: nothing more is read then. Throws MEDIA_TYPE_UNSUPPORTED, REQUEST_INVALID for a
 * damaged packing, INTERRUPTED where the client leaves.
 */
export async function collectBody(
  request: IncomingMessage,
  limitBytes: number,
  refusal = bodyTooLarge,
): Promise<Buffer> {
  const packing = request.headers['content-encoding']?.toLowerCase() ?? 'identity';
  const unpack = unpackers.get(packing);
  if (packing !== 'identity' && !unpack)
    throw new HildaError('MEDIA_TYPE_UNSUPPORTED', `the body is packed with ${packing}`);
  checkStatedLength(request, limitBytes, refusal);
  const unpacker = unpack?.();
  const source = unpacker ? request.pipe(unpacker) : request;
  // At once where the length is known: pieces that are joined at the end would take twice the memory.
  const whole = unpacker ? undefined : statedBuffer(request);
  const pieces: Buffer[] = [];
  let bytes = 0;
  try {
    await new Promise<void>((resolve, reject) => {
      source.on('data', (piece: Buffer) => {
        bytes += piece.byteLength;
        if (bytes > limitBytes) reject(refusal(limitBytes));
        else if (whole) piece.copy(whole, bytes - piece.byteLength);
        else pieces.push(piece);
      });
      source.once('end', resolve);
      const left = (cause?: unknown): void =>
        reject(new HildaError('INTERRUPTED', 'the client went away', { cause }));
      request.once('error', left);
      request.once('close', () => {
        if (!request.complete) left();
      });
      unpacker?.once('error', (cause) =>
        reject(new HildaError('REQUEST_INVALID', `the body is no ${packing}: ${cause.message}`, { cause })),
      );
    });
  } finally {
    source.removeAllListeners('data');
    request.pause();
    if (unpacker) {
      request.unpipe(unpacker);
      unpacker.on('error', () => {}).destroy();
    }
  }
  // Behind the end of what was packed.
  if (unpacker) request.resume();
  return whole ?? Buffer.concat(pieces, bytes);
}

/** Room for the whole body; its pages are taken as bytes come. Undefined where its length is not known. */
function statedBuffer({ headers }: IncomingMessage): Buffer | undefined {
  const length = headers['content-length'];
  return length === undefined ? undefined : Buffer.allocUnsafeSlow(Number(length));
}

/** Throws `refusal` where a request says that it is longer. */
export function checkStatedLength(
  { headers }: IncomingMessage,
  limitBytes: number,
  refusal = bodyTooLarge,
): void {
  if (Number(headers['content-length'] ?? 0) > limitBytes) throw refusal(limitBytes);
}

export const bodyTooLarge = (limitBytes: number): HildaError =>
  new HildaError('REQUEST_TOO_LARGE', `the body exceeds ${limitBytes} bytes`, { details: { limitBytes } });
