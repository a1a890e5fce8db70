import { crc32 } from 'node:zlib';

/** One frame of LINK.md, decoded. `request` is 16 bits, `session` 32 bits, unsigned. */
export interface Frame {
  readonly kind: number;
  readonly request: number;
  readonly session: number;
  readonly payload: Uint8Array;
}

/** Of the frame's layout; what the requests mean has a separate version. */
const frameVersion = 1;
const headerBytes = 8;
const crcBytes = 4;
export const maxPayloadBytes = 1032;
const maxBodyBytes = headerBytes + maxPayloadBytes + crcBytes;

/** The bytes on the line, the closing zero included. */
export function encodeFrame({ kind, request, session, payload }: Frame): Uint8Array {
  const body = new Uint8Array(headerBytes + payload.length + crcBytes);
  const view = new DataView(body.buffer);
  view.setUint8(0, kind);
  view.setUint8(1, frameVersion);
  view.setUint16(2, request, true);
  view.setUint32(4, session, true);
  body.set(payload, headerBytes);
  view.setUint32(body.length - crcBytes, crc32(body.subarray(0, -crcBytes)), true);
  return cobs(body);
}

/** Consistent overhead byte stuffing (Cheshire and Baker, 1999): blocks of up to 254 bytes, each ending in an implied zero. */
function cobs(body: Uint8Array): Uint8Array {
  const wire = new Uint8Array(body.length + Math.ceil(body.length / 254) + 2);
  let at = 1;
  let code = 0;
  for (const [i, byte] of body.entries()) {
    if (byte !== 0) wire[at++] = byte;
    const full = at - code === 255;
    if (byte !== 0 && !(full && i + 1 < body.length)) continue;
    wire[code] = at - code;
    code = at++;
  }
  wire[code] = at - code;
  return wire.subarray(0, at + 1);
}

/** Takes the bytes of a line as they come. What is no sound frame is dropped and counted. */
export class FrameDecoder {
  /** Frames with a wrong length, version or CRC. */
  dropped = 0;
  readonly #body = new Uint8Array(maxBodyBytes);
  #used = 0;
  #left = 0;
  #code = 0;
  #broken = false;

  push(bytes: Uint8Array): Frame[] {
    const frames: Frame[] = [];
    for (const byte of bytes) {
      if (byte === 0) {
        const frame = this.#close();
        if (frame) frames.push(frame);
      } else if (this.#left > 0) {
        this.#left--;
        this.#keep(byte);
      } else {
        if (this.#code !== 0 && this.#code !== 255) this.#keep(0);
        this.#code = byte;
        this.#left = byte - 1;
      }
    }
    return frames;
  }

  /** Forgets the part of a frame that came: its end may never come. */
  restart(): void {
    this.#used = this.#left = this.#code = 0;
    this.#broken = false;
  }

  #keep(byte: number): void {
    if (this.#used === maxBodyBytes) this.#broken = true;
    else this.#body[this.#used++] = byte;
  }

  #close(): Frame | undefined {
    const empty = this.#code === 0;
    const frame =
      empty || this.#broken || this.#left > 0 ? undefined : parse(this.#body.slice(0, this.#used));
    if (!empty && !frame) this.dropped++;
    this.restart();
    return frame;
  }
}

function parse(body: Uint8Array): Frame | undefined {
  if (body.length < headerBytes + crcBytes) return undefined;
  const view = new DataView(body.buffer);
  const end = body.length - crcBytes;
  if (crc32(body.subarray(0, end)) !== view.getUint32(end, true) || view.getUint8(1) !== frameVersion)
    return undefined;
  return {
    kind: view.getUint8(0),
    request: view.getUint16(2, true),
    session: view.getUint32(4, true),
    payload: body.subarray(headerBytes, end),
  };
}
