import { HildaError } from '../errors.js';

/**
 * Bulk on a link, as both ends know it: `{ op: 'blob', transfer, bytes, sha256 }` announces bytes. The receiver answers
 * `{ op: 'got', transfer, bytes }` with what it has of that content; pieces follow from there, each answered with `got`.
 * A piece is `u32 transfer | u32 offset | bytes`, little endian.
 */
export interface BlobAnnouncement {
  readonly transfer: number;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Acknowledgement {
  readonly transfer: number;
  /** Bytes of the content that are there, from its start. */
  readonly bytes: number;
}

export interface Piece {
  readonly transfer: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

const headerBytes = 8;

export function encodePiece({ transfer, offset, bytes }: Piece): Uint8Array {
  const frame = new Uint8Array(headerBytes + bytes.byteLength);
  const view = new DataView(frame.buffer);
  view.setUint32(0, transfer, true);
  view.setUint32(4, offset, true);
  frame.set(bytes, headerBytes);
  return frame;
}

/** Throws MESSAGE_INVALID for a frame without bytes. */
export function decodePiece(frame: Uint8Array): Piece {
  if (frame.byteLength <= headerBytes)
    throw new HildaError('MESSAGE_INVALID', `a piece of ${frame.byteLength} bytes is too short`);
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  return {
    transfer: view.getUint32(0, true),
    offset: view.getUint32(4, true),
    bytes: frame.subarray(headerBytes),
  };
}
