/** Bytes over ws: `u32 transfer | u32 offset | bytes`, little endian, at most 256 KiB a frame. */
const headerBytes = 8;
const payloadBytes = 256 * 1024;

export function sendBlob(socket: WebSocket, transfer: number, blob: Uint8Array): void {
  socket.send(JSON.stringify({ op: 'blob', transfer, bytes: blob.byteLength }));
  for (let offset = 0; offset < blob.byteLength; offset += payloadBytes) {
    const part = blob.subarray(offset, offset + payloadBytes);
    const frame = new Uint8Array(headerBytes + part.byteLength);
    const view = new DataView(frame.buffer);
    view.setUint32(0, transfer, true);
    view.setUint32(4, offset, true);
    frame.set(part, headerBytes);
    socket.send(frame);
  }
}

/** Blobs on their way here. Frames come in order: the channel keeps it. */
export class Incoming {
  readonly #blobs = new Map<number, Uint8Array>();

  announce(transfer: number, bytes: number): void {
    this.#blobs.set(transfer, new Uint8Array(bytes));
  }

  frame(buffer: ArrayBuffer): void {
    const view = new DataView(buffer);
    this.#blobs
      .get(view.getUint32(0, true))
      ?.set(new Uint8Array(buffer, headerBytes), view.getUint32(4, true));
  }

  take(transfer: number): Uint8Array {
    const blob = this.#blobs.get(transfer);
    this.#blobs.delete(transfer);
    if (!blob) throw new Error(`blob ${transfer} never came`);
    return blob;
  }
}
