import type { Socket } from 'node:net';
import { HildaError } from '../../core/errors.js';

/** Reads exact counts of bytes from a socket, in order. One reader a socket; one read at a time. */
export class SocketReader {
  #chunks: Buffer[] = [];
  #length = 0;
  #ended: HildaError | null = null;
  #wake: (() => void) | null = null;

  constructor(socket: Socket) {
    socket.on('data', (data) => {
      this.#chunks.push(data);
      this.#length += data.length;
      this.#wake?.();
    });
    const end = (error: HildaError): void => {
      this.#ended ??= error;
      this.#wake?.();
    };
    socket.on('error', (cause) =>
      end(new HildaError('ADB_FAILED', `the adb server: ${cause.message}`, { cause })),
    );
    socket.on('close', () => end(new HildaError('ADB_FAILED', 'the adb server closed the connection')));
  }

  /** Throws ADB_FAILED where the stream ends before. */
  async read(count: number): Promise<Buffer> {
    while (this.#length < count) {
      if (this.#ended) throw this.#ended;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const all = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
    this.#chunks = [all.subarray(count)];
    this.#length -= count;
    return all.subarray(0, count);
  }

  /** What comes until the stream ends. */
  async rest(): Promise<Buffer> {
    while (!this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.read(this.#length);
  }
}
