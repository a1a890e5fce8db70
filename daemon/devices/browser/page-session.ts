import type { Clock } from '../../core/clock.js';
import { asHildaError, HildaError } from '../../core/errors.js';
import { BulkReceiver } from '../../core/link/bulk-receiver.js';
import type { LineFacts } from '../../core/link/line-rate.js';
import { runtimeFailure } from '../../runtime/runtime-failure.js';
import { checked } from '../checked.js';
import { type Connection, closeCodes, type LineState } from '../connection.js';
import { contentHash } from '../content-hash.js';
import { type PageCallOptions, PageCalls } from './page-calls.js';
import { PageLine } from './page-line.js';
import { timesFault } from './page-times.js';
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
  readonly #line: PageLine;
  #state: PageState;
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
    this.#line = new PageLine({
      id,
      clock: options.clock,
      graceMs: options.graceMs,
      onMessage: (message) => this.#receive(message),
      onBreak: () => {
        this.#calls.pause();
        this.#received.disconnect();
      },
      onGone: (error) => this.#end(error),
    });
  }

  get instance(): string {
    return this.#options.instance;
  }

  get state(): PageState {
    return this.#state;
  }

  /** Where its last connection came from. */
  get peer(): string {
    return this.#line.peer;
  }

  get alive(): boolean {
    return this.#ended === null;
  }

  get facts(): LineFacts {
    return this.#line.rate.facts;
  }

  get line(): LineState {
    return this.#line.state;
  }

  /** Its present connection; null while the line is down. */
  get connection(): Connection | null {
    return this.#line.connection;
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
    this.#state = state;
    this.#line.attach(connection);
    this.#calls.resume(heard);
  }

  close(reason: string, code: number = closeCodes.goingAway): void {
    const { connection } = this.#line;
    this.#end(new HildaError('DEVICE_GONE', reason));
    connection?.close(code, reason);
  }

  say(message: DaemonMessage): void {
    this.#line.say(message);
  }

  /**
   * Sends a content ahead of the call that names it, over as many connections as it takes; what the page has of it is not sent
   * again. Answers with its SHA-256. Throws LINE_TOO_SLOW, NETWORK_TOO_LARGE, DEVICE_GONE or INTERRUPTED.
   */
  deliver(bytes: Uint8Array, options: { readonly signal: AbortSignal }): Promise<string> {
    return this.#line.deliver(bytes, options);
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
    const { clock } = this.#options;
    const startUs = clock.monotonicUs();
    const answer = await this.#calls.make(call, options, this.#line.connection !== null);
    const fault = timesFault(call, answer, clock.monotonicUs() - startUs);
    if (fault) throw this.#violated(fault);
    return answer;
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
        this.#line.bulk?.acknowledge(message);
        return;
      case 'refuse':
        this.#line.bulk?.refuse(message.transfer, new HildaError('NETWORK_TOO_LARGE', message.detail));
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
    const { connection } = this.#line;
    this.#end(error);
    connection?.close(closeCodes.refused, error.message.slice(0, 100));
    return error;
  }

  #end(error: HildaError): void {
    if (this.#ended) return;
    this.#ended = error;
    this.#line.end(error);
    this.#calls.fail(error);
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
