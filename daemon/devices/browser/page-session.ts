import type { Clock } from '../../core/clock.js';
import { asHildaError, HildaError } from '../../core/errors.js';
import { BulkReceiver } from '../../core/link/bulk-receiver.js';
import { BulkSender } from '../../core/link/bulk-sender.js';
import { type LineFacts, LineRate } from '../../core/link/line-rate.js';
import { watchLine } from '../../core/link/watched-line.js';
import { runtimeFailure } from '../../runtime/runtime-failure.js';
import { checked } from '../checked.js';
import { type Connection, closeCodes, wasMeant } from '../connection.js';
import { contentHash } from '../content-hash.js';
import { type PageCallOptions, PageCalls } from './page-calls.js';
import {
  type About,
  type Answer,
  answerSchemas,
  type DaemonMessage,
  type PageCall,
  type PageState,
  pageMessageSchema,
} from './wire.js';

export interface PageSessionOptions {
  readonly clock: Clock;
  /** See `helloSchema`. */
  readonly instance: string;
  readonly state: PageState;
  /** How long a page whose line broke may take to come back. */
  readonly graceMs: number;
}

/** One connection of the page, and the bulk on its way there. */
interface Line {
  readonly connection: Connection;
  readonly bulk: BulkSender;
}

const maxIncomingBytes = 64 * 2 ** 20;

/**
 * One page that joined: calls it, one at a time, and hears its state. A line that breaks is waited for, with the call and
 * the transfer that it broke; a page that leaves, or does not come back, is DEVICE_GONE for who waits. Every fault of
 * the page (a malformed or unasked message, an answer of another shape) ends the session with MESSAGE_INVALID.
 */
export class PageSession {
  readonly #options: PageSessionOptions;
  readonly #calls: PageCalls;
  readonly #received = new BulkReceiver({ maxBytes: maxIncomingBytes, hash: contentHash });
  readonly #rate = new LineRate();
  #state: PageState;
  #line: Line | null = null;
  #peer = '';
  /** Who waits for the line to come back. */
  #awaiting: (() => void)[] = [];
  #ended: HildaError | null = null;
  #onEnd: (session: PageSession) => void = () => {};

  constructor(
    readonly id: string,
    readonly about: About,
    options: PageSessionOptions,
  ) {
    this.#options = options;
    this.#state = options.state;
    this.#calls = new PageCalls(options.clock, (id, call) => this.say({ op: 'call', id, call }));
  }

  get instance(): string {
    return this.#options.instance;
  }

  get state(): PageState {
    return this.#state;
  }

  /** Where its last connection came from. */
  get peer(): string {
    return this.#peer;
  }

  get alive(): boolean {
    return this.#ended === null;
  }

  get facts(): LineFacts {
    return this.#rate.facts;
  }

  /** Its present connection; null while the line is down. */
  get connection(): Connection | null {
    return this.#line?.connection ?? null;
  }

  /** The listener hears of the end once. */
  start(onEnd: (session: PageSession) => void): void {
    this.#onEnd = onEnd;
  }

  /** Goes on over a connection: the first one, or the next after a break. The page was welcomed on it. */
  attach(
    connection: Connection,
    { state, heard }: { readonly state: PageState; readonly heard: number },
  ): void {
    const { clock } = this.#options;
    const before = this.#line;
    this.#break(before);
    before?.connection.drop();
    this.#state = state;
    const bulk = new BulkSender({
      clock,
      rate: this.#rate,
      peer: `the page ${this.id}`,
      announce: (blob) => this.say({ op: 'blob', ...blob }),
      sendPiece: (frame) => connection.send(frame),
    });
    const line = { connection, bulk };
    this.#line = line;
    this.#peer = connection.peer;
    connection.onMessage((message) => this.#receive(message));
    connection.onClose((code) => this.#closed(line, code));
    const beat = (): void => {
      this.say({ op: 'beat', line: this.#rate.facts });
      // The browser answers it, also for a page whose own code is slowed down as it is hidden.
      connection.ping();
    };
    watchLine(connection, { clock, beat });
    this.#calls.resume(heard);
    for (const wake of this.#awaiting.splice(0)) wake();
  }

  close(reason: string, code: number = closeCodes.goingAway): void {
    const connection = this.#line?.connection;
    this.#end(new HildaError('DEVICE_GONE', reason));
    connection?.close(code, reason);
  }

  say(message: DaemonMessage): void {
    this.#line?.connection.send(JSON.stringify(message));
  }

  /**
   * Sends a content ahead of the call that names it, over as many connections as it takes; what the page has of it is not sent
   * again. Answers with its SHA-256. Throws LINE_TOO_SLOW, NETWORK_TOO_LARGE, DEVICE_GONE or INTERRUPTED.
   */
  async deliver(bytes: Uint8Array, { signal }: { readonly signal: AbortSignal }): Promise<string> {
    const sha256 = contentHash(bytes);
    for (;;) {
      if (this.#ended) throw this.#ended;
      if (signal.aborted)
        throw new HildaError('INTERRUPTED', 'a transfer to the page was aborted', { cause: signal.reason });
      const line = this.#line;
      if (!line) {
        await this.#lineBack(signal);
        continue;
      }
      try {
        await line.bulk.deliver(bytes, sha256, { signal });
        return sha256;
      } catch (thrown) {
        // The line broke under it; it goes on over the next one.
        if (this.#line !== line || signal.aborted) continue;
        throw asHildaError(thrown);
      }
    }
  }

  /** A content that a reply names. */
  take(sha256: string): Uint8Array {
    try {
      return this.#received.take(sha256);
    } catch (thrown) {
      throw this.#violated(asHildaError(thrown));
    }
  }

  /**
   * Throws what the page's runtime threw (NETWORK_REJECTED, DEVICE_OUT_OF_MEMORY, PROVIDER_FALLBACK), DEVICE_FAILED where the
   * page itself could not, DEVICE_TIMEOUT, DEVICE_GONE, MESSAGE_INVALID or INTERRUPTED. After a time-out or an abort the worker is gone.
   */
  async call<Call extends PageCall>(call: Call, options: PageCallOptions): Promise<Answer<Call['op']>> {
    if (this.#ended) throw this.#ended;
    return this.#calls.make(call, options, this.#line !== null);
  }

  async #lineBack(signal: AbortSignal): Promise<void> {
    const over = new AbortController();
    await new Promise<void>((resolve) => {
      this.#awaiting.push(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true, signal: over.signal });
    });
    over.abort();
  }

  /** The page said that it leaves, or its line broke: then it may come back. */
  #closed(line: Line, code: number): void {
    if (this.#line !== line) return;
    this.#break(line);
    if (wasMeant(code)) this.#end(new HildaError('DEVICE_GONE', `the page ${this.id} was closed`));
    else void this.#waitForIt();
  }

  #break(line: Line | null): void {
    if (!line) return;
    this.#line = null;
    this.#calls.pause();
    this.#received.disconnect();
    line.bulk.close(new HildaError('DEVICE_GONE', `the line to the page ${this.id} broke`));
  }

  async #waitForIt(): Promise<void> {
    const { clock, graceMs } = this.#options;
    const over = new AbortController();
    this.#awaiting.push(() => over.abort());
    try {
      await clock.sleep(graceMs, { signal: over.signal });
    } catch {
      return;
    }
    this.#end(
      new HildaError(
        'DEVICE_GONE',
        `the page ${this.id} lost its connection and was not back within ${graceMs} ms`,
      ),
    );
  }

  #receive(message: string | Uint8Array): void {
    if (this.#ended) return;
    try {
      if (typeof message === 'string') this.#hear(JSON.parse(message));
      else {
        const { transfer, bytes } = this.#received.piece(message);
        this.say({ op: 'got', transfer, bytes });
      }
    } catch (thrown) {
      this.#violated(
        thrown instanceof HildaError
          ? thrown
          : new HildaError('MESSAGE_INVALID', 'the page sent what is no message', { cause: thrown }),
      );
    }
  }

  #hear(data: unknown): void {
    const message = checked(pageMessageSchema, data);
    switch (message.op) {
      case 'state':
        this.#state = message.state;
        return;
      case 'blob':
        this.say({ op: 'got', ...this.#received.announce(message) });
        return;
      case 'got':
        this.#line?.bulk.acknowledge(message);
        return;
      case 'refuse':
        this.#line?.bulk.refuse(message.transfer, new HildaError('NETWORK_TOO_LARGE', message.detail));
        return;
      case 'reply':
      case 'failed': {
        if (!this.#calls.wasMade(message.id))
          throw new HildaError('MESSAGE_INVALID', `the page answered call ${message.id}, which nobody made`);
        // An answer to a call that was given up, or one that is said again: it is late, not wrong.
        const pending = this.#calls.answered(message.id);
        if (!pending) return;
        if (message.op === 'failed') {
          pending.reject(failure(message));
          return;
        }
        try {
          pending.resolve(checked(answerSchemas[pending.call.op], message.value));
        } catch (thrown) {
          pending.reject(asHildaError(thrown));
          throw thrown;
        }
      }
    }
  }

  #violated(error: HildaError): HildaError {
    const connection = this.#line?.connection;
    this.#end(error);
    connection?.close(closeCodes.refused, error.message.slice(0, 100));
    return error;
  }

  #end(error: HildaError): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#break(this.#line);
    this.#calls.fail(error);
    for (const wake of this.#awaiting.splice(0)) wake();
    this.#onEnd(this);
  }
}

/** What a page says before any network is loaded says nothing against networks. */
const failure = ({
  origin,
  detail,
}: {
  readonly origin: 'runtime' | 'page';
  readonly detail: string;
}): HildaError =>
  origin === 'page'
    ? new HildaError('DEVICE_FAILED', `the page could not: ${detail}`)
    : runtimeFailure(new Error(detail));
