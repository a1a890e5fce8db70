import type { Clock } from '../../core/clock.js';
import { asHildaError, HildaError } from '../../core/errors.js';
import { BulkSender } from '../../core/link/bulk-sender.js';
import { LineRate } from '../../core/link/line-rate.js';
import { watchLine } from '../../core/link/watched-line.js';
import { type Connection, type LineState, wasMeant } from '../connection.js';
import { contentHash } from '../content-hash.js';
import type { DaemonMessage } from './wire.js';

export interface PageLineOptions {
  /** Of the page, for messages. */
  readonly id: string;
  readonly clock: Clock;
  /** How long a page whose line broke may take to come back. */
  readonly graceMs: number;
  readonly onMessage: (message: string | Uint8Array) => void;
  readonly onBreak: () => void;
  /** The page said that it leaves, or did not come back. */
  readonly onGone: (error: HildaError) => void;
}

/** One connection, and the bulk on its way over it. */
interface Up {
  readonly connection: Connection;
  readonly bulk: BulkSender;
}

/** The line to a page over all its connections: one that breaks is waited for, with the transfers that it broke. */
export class PageLine {
  readonly rate = new LineRate();
  readonly #options: PageLineOptions;
  #up: Up | null = null;
  #peer = '';
  /** When it broke; null before that. */
  #brokeUs: number | null = null;
  /** Who waits for the next connection. */
  #awaiting: (() => void)[] = [];
  #ended: HildaError | null = null;

  constructor(options: PageLineOptions) {
    this.#options = options;
  }

  /** Null while the line is down. */
  get connection(): Connection | null {
    return this.#up?.connection ?? null;
  }

  /** Of the present connection; null while the line is down. */
  get bulk(): BulkSender | null {
    return this.#up?.bulk ?? null;
  }

  get state(): LineState {
    const downUs =
      this.#up || this.#brokeUs === null ? null : this.#options.clock.monotonicUs() - this.#brokeUs;
    return { ...this.rate.facts, downMs: downUs && downUs / 1000 };
  }

  /** Where the last connection came from. */
  get peer(): string {
    return this.#peer;
  }

  /** Goes on over a connection on which the page was welcomed, in place of an earlier one. */
  attach(connection: Connection): void {
    const { id, clock, onMessage } = this.#options;
    const before = this.#up;
    this.#break(before);
    before?.connection.drop();
    const bulk = new BulkSender({
      clock,
      rate: this.rate,
      peer: `the page ${id}`,
      announce: (blob) => this.say({ op: 'blob', ...blob }),
      sendPiece: (frame) => connection.send(frame),
    });
    const up = { connection, bulk };
    this.#up = up;
    this.#peer = connection.peer;
    // What still comes by a former line speaks of its own transfers.
    connection.onMessage((message) => this.#up === up && onMessage(message));
    connection.onClose((code) => this.#closed(up, code));
    const beat = (): void => {
      this.say({ op: 'beat', line: this.rate.facts });
      // The browser answers it, also for a page whose own code is slowed down as it is hidden.
      connection.ping();
    };
    watchLine(connection, { clock, beat });
    this.#wakeAll();
  }

  say(message: DaemonMessage): void {
    this.#up?.connection.send(JSON.stringify(message));
  }

  /** See `PageSession.deliver`. */
  async deliver(bytes: Uint8Array, { signal }: { readonly signal: AbortSignal }): Promise<string> {
    const sha256 = contentHash(bytes);
    for (;;) {
      if (this.#ended) throw this.#ended;
      if (signal.aborted)
        throw new HildaError('INTERRUPTED', 'a transfer to the page was aborted', { cause: signal.reason });
      const up = this.#up;
      if (!up) {
        await this.#back(signal);
        continue;
      }
      try {
        await up.bulk.deliver(bytes, sha256, { signal });
        return sha256;
      } catch (thrown) {
        // The connection broke under it; it goes on over the next one.
        if (this.#up !== up || signal.aborted) continue;
        throw asHildaError(thrown);
      }
    }
  }

  /** Nothing is waited for any more. The connection, if there is one, is for the caller to close. */
  end(error: HildaError): void {
    this.#ended = error;
    this.#break(this.#up);
    this.#wakeAll();
  }

  #closed(up: Up, code: number): void {
    if (this.#up !== up) return;
    const { id, onGone } = this.#options;
    this.#break(up);
    if (wasMeant(code)) onGone(new HildaError('DEVICE_GONE', `the page ${id} was closed`));
    else void this.#waitForIt();
  }

  #break(up: Up | null): void {
    if (!up) return;
    const { id, onBreak, clock } = this.#options;
    this.#up = null;
    this.#brokeUs = clock.monotonicUs();
    onBreak();
    up.bulk.close(new HildaError('DEVICE_GONE', `the line to the page ${id} broke`));
  }

  async #waitForIt(): Promise<void> {
    const { id, clock, graceMs, onGone } = this.#options;
    const over = new AbortController();
    this.#awaiting.push(() => over.abort());
    try {
      await clock.sleep(graceMs, { signal: over.signal });
    } catch {
      return;
    }
    const absence = `the page ${id} lost its connection and was not back within ${graceMs} ms`;
    onGone(new HildaError('DEVICE_GONE', absence));
  }

  async #back(signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    await new Promise<void>((resolve) => {
      this.#awaiting.push(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true, signal: over.signal });
    });
    over.abort();
  }

  #wakeAll(): void {
    for (const wake of this.#awaiting.splice(0)) wake();
  }
}
