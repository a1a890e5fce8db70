import { HildaError } from '../core/errors.js';

/**
 * Bytes on a message channel. A text message announces `{ op: 'blob', transfer, bytes }`; frames of at most 256 KiB follow:
 * `u32 transfer | u32 offset | bytes`, little endian, offsets ascending without gaps.
 */
const headerBytes = 8;
const payloadBytes = 256 * 1024;

export interface BlobAnnouncement {
  readonly transfer: number;
  readonly bytes: number;
}

/** The frames of one blob, from `start` on for a transfer that is taken up again. */
export function* blobFrames(transfer: number, blob: Uint8Array, start = 0): Iterable<Uint8Array> {
  for (let offset = start; offset < blob.byteLength; offset += payloadBytes) {
    const part = blob.subarray(offset, offset + payloadBytes);
    const frame = new Uint8Array(headerBytes + part.byteLength);
    const view = new DataView(frame.buffer);
    view.setUint32(0, transfer, true);
    view.setUint32(4, offset, true);
    frame.set(part, headerBytes);
    yield frame;
  }
}

interface Incoming {
  readonly blob: Uint8Array;
  received: number;
}

/** Puts blobs together. Everything that breaks the order or a bound is MESSAGE_INVALID. */
export class BlobAssembler {
  readonly #maxBytes: number;
  readonly #incoming = new Map<number, Incoming>();

  /** `maxBytes` bounds all blobs that are not yet taken, together. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** `received` are the bytes of a blob whose transfer broke off. */
  announce({ transfer, bytes }: BlobAnnouncement, received: Uint8Array = new Uint8Array()): void {
    if (this.#incoming.has(transfer)) throw invalid(`blob ${transfer} was announced twice`);
    const pending = [...this.#incoming.values()].reduce((sum, { blob }) => sum + blob.byteLength, 0);
    if (pending + bytes > this.#maxBytes)
      throw invalid(`blobs of ${pending + bytes} bytes exceed the limit of ${this.#maxBytes}`);
    if (received.byteLength > bytes) throw invalid(`blob ${transfer} shrank`);
    const blob = new Uint8Array(bytes);
    blob.set(received);
    this.#incoming.set(transfer, { blob, received: received.byteLength });
  }

  /** Takes one frame in; answers with its transfer, and whether its blob is whole now. */
  frame(frame: Uint8Array): { readonly transfer: number; readonly whole: boolean } {
    if (frame.byteLength <= headerBytes) throw invalid(`a frame of ${frame.byteLength} bytes is too short`);
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    const [transfer, offset] = [view.getUint32(0, true), view.getUint32(4, true)];
    const incoming = this.#incoming.get(transfer);
    if (!incoming) throw invalid(`a frame of blob ${transfer}, which was not announced`);
    const part = frame.subarray(headerBytes);
    if (offset !== incoming.received || offset + part.byteLength > incoming.blob.byteLength)
      throw invalid(`a frame of blob ${transfer} at ${offset}, expected at ${incoming.received}`);
    incoming.blob.set(part, offset);
    incoming.received += part.byteLength;
    return { transfer, whole: incoming.received === incoming.blob.byteLength };
  }

  /** Hands out a whole blob and forgets it. */
  take(transfer: number): Uint8Array {
    const incoming = this.#incoming.get(transfer);
    if (!incoming || incoming.received < incoming.blob.byteLength)
      throw invalid(`blob ${transfer} is used before it is whole`);
    this.#incoming.delete(transfer);
    return incoming.blob;
  }

  /** What came of a blob so far, when its transfer broke off. */
  partial(transfer: number): Uint8Array {
    const incoming = this.#incoming.get(transfer);
    return incoming ? incoming.blob.slice(0, incoming.received) : new Uint8Array();
  }
}

const invalid = (message: string): HildaError => new HildaError('MESSAGE_INVALID', message);
