import type { Clock } from '../../core/clock.js';
import { asHildaError, HildaError } from '../../core/errors.js';
import { runtimeFailure } from '../../runtime/runtime-failure.js';
import { BlobAssembler, blobFrames } from '../blob-frames.js';
import { checked } from '../checked.js';
import { type Connection, closeCodes } from '../connection.js';
import {
  type About,
  type Answer,
  answerSchemas,
  type DaemonMessage,
  type PageCall,
  type PageState,
  pageMessageSchema,
} from './wire.js';

interface Pending {
  readonly id: number;
  readonly op: PageCall['op'];
  resolve(value: unknown): void;
  reject(error: HildaError): void;
}

const maxIncomingBytes = 64 * 2 ** 20;

/**
 * One page that joined: calls it, one at a time, and hears its state. Every fault of the page (a malformed or unasked
 * message, an answer of another shape) ends the connection with MESSAGE_INVALID; its end is DEVICE_GONE for the call that
 * waits.
 */
export class PageSession {
  readonly #connection: Connection;
  readonly #clock: Clock;
  readonly #blobs = new BlobAssembler(maxIncomingBytes);
  #state: PageState;
  #pending: Pending | null = null;
  #nextCall = 1;
  #nextTransfer = 1;
  #ended: HildaError | null = null;

  constructor(
    readonly id: string,
    readonly about: About,
    options: { readonly connection: Connection; readonly clock: Clock; readonly state: PageState },
  ) {
    this.#connection = options.connection;
    this.#clock = options.clock;
    this.#state = options.state;
  }

  get state(): PageState {
    return this.#state;
  }

  /** Where it comes from. */
  get peer(): string {
    return this.#connection.peer;
  }

  get alive(): boolean {
    return this.#ended === null;
  }

  /** Follows the connection; the listener hears of the end once. */
  start(onEnd: (session: PageSession) => void): void {
    this.#connection.onMessage((message) => this.#receive(message));
    this.#connection.onClose(() => {
      this.#end(new HildaError('DEVICE_GONE', `the page ${this.id} closed or lost its connection`));
      onEnd(this);
    });
  }

  close(reason: string, code: number = closeCodes.goingAway): void {
    this.#end(new HildaError('DEVICE_GONE', reason));
    this.#connection.close(code, reason);
  }

  say(message: DaemonMessage): void {
    this.#connection.send(JSON.stringify(message));
  }

  /** Sends bytes ahead of the call that names them. */
  sendBlob(bytes: Uint8Array): number {
    const transfer = this.#nextTransfer++;
    this.say({ op: 'blob', transfer, bytes: bytes.byteLength });
    for (const frame of blobFrames(transfer, bytes)) this.#connection.send(frame);
    return transfer;
  }

  takeBlob(transfer: number): Uint8Array {
    try {
      return this.#blobs.take(transfer);
    } catch (thrown) {
      throw this.#violated(asHildaError(thrown));
    }
  }

  /**
   * Throws what the page's runtime threw (NETWORK_REJECTED, DEVICE_OUT_OF_MEMORY, PROVIDER_FALLBACK), DEVICE_TIMEOUT,
   * DEVICE_GONE, MESSAGE_INVALID or INTERRUPTED. After a time-out or an abort the worker is gone.
   */
  async call<Call extends PageCall>(
    call: Call,
    { signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number },
  ): Promise<Answer<Call['op']>> {
    if (this.#ended) throw this.#ended;
    if (signal.aborted) throw interrupted(signal);
    if (this.#pending) throw new HildaError('INTERNAL', 'a page is called by two at a time');
    const id = this.#nextCall++;
    const done = new AbortController();
    const onAbort = (): void => this.#giveUp(id, interrupted(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    this.#clock.sleep(timeoutMs, { signal: done.signal }).then(
      () =>
        this.#giveUp(
          id,
          new HildaError('DEVICE_TIMEOUT', `"${call.op}" did not end within ${timeoutMs} ms on the page`),
        ),
      () => {},
    );
    try {
      const value = await new Promise<unknown>((resolve, reject) => {
        this.#pending = { id, op: call.op, resolve, reject };
        this.say({ op: 'call', id, call });
      });
      return value as Answer<Call['op']>;
    } finally {
      done.abort();
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Ends the worker, which alone stops an endless network. The page's late reply is dropped by its number. */
  #giveUp(id: number, error: HildaError): void {
    if (this.#pending?.id !== id) return;
    const { reject } = this.#pending;
    this.#pending = null;
    if (!this.#ended) this.say({ op: 'call', id: this.#nextCall++, call: { op: 'stop' } });
    reject(error);
  }

  #receive(message: string | Uint8Array): void {
    if (this.#ended) return;
    try {
      if (typeof message === 'string') this.#hear(JSON.parse(message));
      else this.#blobs.frame(message);
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
        this.#blobs.announce(message);
        return;
      case 'reply':
      case 'failed': {
        if (message.id >= this.#nextCall)
          throw new HildaError('MESSAGE_INVALID', `the page answered call ${message.id}, which nobody made`);
        const pending = this.#pending;
        // An answer to a call that was given up: it is late, not wrong.
        if (pending?.id !== message.id) return;
        this.#pending = null;
        if (message.op === 'failed') {
          pending.reject(runtimeFailure(new Error(message.detail)));
          return;
        }
        try {
          pending.resolve(checked(answerSchemas[pending.op], message.value));
        } catch (thrown) {
          pending.reject(asHildaError(thrown));
          throw thrown;
        }
      }
    }
  }

  #violated(error: HildaError): HildaError {
    this.#end(error);
    this.#connection.close(closeCodes.refused, error.message.slice(0, 100));
    return error;
  }

  #end(error: HildaError): void {
    this.#ended ??= error;
    this.#pending?.reject(error);
    this.#pending = null;
  }
}

const interrupted = (signal: AbortSignal): HildaError =>
  new HildaError('INTERRUPTED', 'the call to the page was aborted', { cause: signal.reason });
