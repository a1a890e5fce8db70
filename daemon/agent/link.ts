import { HildaError } from '../core/errors.js';
import type { AgentMessage } from '../devices/agent/wire.js';
import { blobFrames } from '../devices/blob-frames.js';
import type { Connection } from '../devices/connection.js';

/** One connection to the daemon: messages in order, and its end. */
export class AgentLink {
  readonly #connection: Connection;
  readonly #waiting: (string | Uint8Array)[] = [];
  #wake: (() => void) | null = null;
  #closed = false;
  #nextTransfer = 1;
  /** What the daemon said when it sent us away. */
  refused: HildaError | null = null;

  constructor(connection: Connection) {
    this.#connection = connection;
    connection.onMessage((message) => {
      this.#waiting.push(message);
      this.#wake?.();
    });
    connection.onClose(() => {
      this.#closed = true;
      this.#wake?.();
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  say(message: AgentMessage): void {
    this.#connection.send(JSON.stringify(message));
  }

  /** Bytes, announced, ahead of the message that names them. */
  sendBlob(bytes: Uint8Array): number {
    const transfer = this.#nextTransfer++;
    this.say({ op: 'blob', transfer, bytes: bytes.byteLength });
    for (const frame of blobFrames(transfer, bytes)) this.#connection.send(frame);
    return transfer;
  }

  close(reason: string): void {
    this.#connection.close(1008, reason.slice(0, 100));
  }

  /** The next text message as JSON. Throws DAEMON_UNREACHABLE when the link ends before, MESSAGE_INVALID on bytes. */
  async next(): Promise<unknown> {
    for await (const message of this.messages()) {
      if (typeof message === 'string') return JSON.parse(message);
      throw new HildaError('MESSAGE_INVALID', 'the daemon sent bytes that were not announced');
    }
    throw new HildaError('DAEMON_UNREACHABLE', 'the link to the daemon was cut');
  }

  /** What comes, until the link ends. */
  async *messages(): AsyncIterable<string | Uint8Array> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message !== undefined) yield message;
      else if (this.#closed) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
