import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import { BulkSender } from '../core/link/bulk-sender.js';
import type { LineRate } from '../core/link/line-rate.js';
import { watchLine } from '../core/link/watched-line.js';
import type { AgentMessage } from '../devices/agent/wire.js';
import { type Connection, closeCodes } from '../devices/connection.js';
import { contentHash } from '../devices/content-hash.js';

/** One connection to the daemon: messages in order, bulk beside them, and its end. */
export class AgentLink {
  readonly #connection: Connection;
  readonly #waiting: (string | Uint8Array)[] = [];
  readonly bulk: BulkSender;
  #wake: (() => void) | null = null;
  #closed = false;
  /** What the daemon said when it sent us away. */
  refused: HildaError | null = null;

  /** `rate` is kept from link to link. */
  constructor(connection: Connection, { clock, rate }: { readonly clock: Clock; readonly rate: LineRate }) {
    this.#connection = connection;
    this.bulk = new BulkSender({
      clock,
      rate,
      peer: 'the daemon',
      announce: (blob) => this.say({ op: 'blob', ...blob }),
      sendPiece: (frame) => connection.send(frame),
    });
    connection.onMessage((message) => {
      this.#waiting.push(message);
      this.#wake?.();
    });
    connection.onClose((code) => {
      this.#closed = true;
      if (code === closeCodes.displaced)
        this.refused ??= new HildaError('DISPLACED', 'another agent with the same key took over');
      this.bulk.close(new HildaError('DAEMON_UNREACHABLE', 'the link to the daemon was cut'));
      this.#wake?.();
    });
    // The daemon says something every few seconds, and the agent's heartbeats tell it the same.
    watchLine(connection, { clock });
  }

  get closed(): boolean {
    return this.#closed;
  }

  say(message: AgentMessage): void {
    this.#connection.send(JSON.stringify(message));
  }

  /** Sends a content ahead of the message that names it. Answers with its name. Throws DAEMON_UNREACHABLE once the link ends. */
  async deliver(bytes: Uint8Array): Promise<string> {
    const sha256 = contentHash(bytes);
    await this.bulk.deliver(bytes, sha256);
    return sha256;
  }

  close(reason: string): void {
    this.#connection.close(closeCodes.refused, reason.slice(0, 100));
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
