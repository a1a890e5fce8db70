import type { Clock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import { encodeFrame, type Frame, FrameDecoder } from './frames.js';
import { kinds, pack, parseRefusal, type RefusalDetails } from './messages.js';
import type { Transport } from './transports/transport.js';

/** A board's refusal: what it means depends on who asked. Never leaves this folder. */
export class RefusedError extends Error {
  constructor(
    readonly kind: number,
    readonly details: RefusalDetails,
  ) {
    super(`the board refused request 0x${kind.toString(16)}: ${details.refusal} (${details.detail})`);
  }
}

/** No reply came in time; the caller decides whether to ask again. */
export class NoReplyError extends Error {}

/** Whether a request is as good as never sent: no reply came, or a later one overtook it on the line. */
export const gotLost = (thrown: unknown): boolean =>
  thrown instanceof NoReplyError || (thrown instanceof RefusedError && thrown.details.refusal === 'replayed');

interface Waiting {
  readonly kind: number;
  readonly settle: (outcome: Uint8Array | Error) => void;
  /** Whether signs of life count for it, and how many came. */
  readonly lasting: boolean;
  signs: number;
}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined;
  /** How long the reply may take; 1 s by default. */
  readonly timeoutMs?: number;
  /** The board may be long about it: the time-out begins anew with each sign that it is at work. */
  readonly lasting?: boolean;
  /** Hears under which id the request goes. */
  readonly onSent?: (request: number) => void;
}

/**
 * Requests and replies over a transport, in one session. Several requests may be under way; each is settled by the
 * reply that carries its id. Rejects with RefusedError, NoReplyError, DEVICE_FAILED when the line is gone, or the
 * signal's reason.
 */
export class RequestLine {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #decoder = new FrameDecoder();
  readonly #waiting = new Map<number, Waiting>();
  #session = 0;
  #request = 0;
  #lost: HildaError | undefined;
  #heard = 0;
  /** Hears boot, log and want frames, and nothing else. */
  onAnnouncement: (kind: number, payload: Uint8Array) => void = () => {};

  constructor(transport: Transport, clock: Clock) {
    this.#transport = transport;
    this.#clock = clock;
    transport.onBytes((bytes) => {
      for (const frame of this.#decoder.push(bytes)) this.#take(frame);
    });
    transport.onClose((reason) => this.fail(lineLost(transport.name, reason)));
  }

  get lost(): HildaError | undefined {
    return this.#lost;
  }

  /** Frames from the board that were damaged on the way. */
  get droppedFrames(): number {
    return this.#decoder.dropped;
  }

  /** Sound frames that came; a number that grows shows that the board lives. */
  get heard(): number {
    return this.#heard;
  }

  /** The board said that it is at work: what it is waited for takes its time. */
  atWork(): void {
    for (const waiting of this.#waiting.values()) if (waiting.lasting) waiting.signs++;
  }

  /**
   * Ids start anew; what the board still answers to the old session is ignored, and its requests end with `reason`. A nonce that
   * would repeat the former session is replaced by the next one: its hello would be a replay.
   */
  startSession(nonce: number, reason: Error = new NoReplyError('the session was opened anew')): void {
    this.#session = nonce !== 0 && nonce === this.#session ? (nonce % 0xffff_ffff) + 1 : nonce >>> 0;
    // A reply that broke off, as with a board that was reset in its middle, would swallow the next one.
    this.#decoder.restart();
    this.#request = 0;
    this.#settleAll(reason);
  }

  /** Every request fails from now on. */
  fail(error: HildaError): void {
    this.#lost ??= error;
    this.#settleAll(this.#lost);
  }

  async request(kind: number, payload: Uint8Array, options: RequestOptions = {}): Promise<Uint8Array> {
    const { signal, timeoutMs = 1000, lasting = false } = options;
    if (this.#lost) throw this.#lost;
    signal?.throwIfAborted();
    this.#request = (this.#request + 1) & 0xffff;
    const request = this.#request;
    const timer = new AbortController();
    const outcome = new Promise<Uint8Array | Error>((resolve) => {
      this.#waiting.set(request, { kind, settle: resolve, lasting, signs: 0 });
    });
    options.onSent?.(request);
    const settle = (error: Error): void => this.#waiting.get(request)?.settle(error);
    const onAbort = (): void => settle(signal?.reason instanceof Error ? signal.reason : interrupted());
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const wire = encodeFrame({ kind, request, session: this.#session, payload });
      // A zero first ends any half frame that noise or a former owner left on the line.
      await this.#transport.write(kind === kinds.hello ? pack([0, 8], wire) : wire);
      this.#silence(request, timeoutMs, timer.signal).then(
        () => settle(new NoReplyError(`no reply to request 0x${kind.toString(16)} within ${timeoutMs} ms`)),
        () => {},
      );
      const result = await outcome;
      if (result instanceof Error) throw result;
      return result;
    } finally {
      timer.abort();
      signal?.removeEventListener('abort', onAbort);
      this.#waiting.delete(request);
    }
  }

  /** Resolves when the request's time has passed without a sign of life. */
  async #silence(request: number, timeoutMs: number, signal: AbortSignal): Promise<void> {
    for (let seen = -1; seen !== this.#waiting.get(request)?.signs; ) {
      seen = this.#waiting.get(request)?.signs ?? 0;
      await this.#clock.sleep(timeoutMs, { signal });
    }
  }

  #take({ kind, request, session, payload }: Frame): void {
    this.#heard++;
    if (kind === kinds.boot || kind === kinds.log || kind === kinds.want) {
      this.onAnnouncement(kind, payload);
      return;
    }
    const waiting = this.#waiting.get(request);
    if (!waiting || session !== this.#session) return;
    if (kind === kinds.progress) waiting.signs++;
    if (kind === kinds.error && payload.length >= 8 && payload[0] === waiting.kind)
      waiting.settle(new RefusedError(waiting.kind, parseRefusal(payload)));
    else if (kind === (waiting.kind | kinds.reply)) waiting.settle(payload);
  }

  #settleAll(error: Error): void {
    for (const { settle } of this.#waiting.values()) settle(error);
    this.#waiting.clear();
  }
}

const interrupted = (): HildaError => new HildaError('INTERRUPTED', 'the request to the board was aborted');

const lineLost = (name: string, reason: string): HildaError =>
  new HildaError('DEVICE_FAILED', `the line to the board at ${name} is gone: ${reason}`, {
    hint: 'Plug the board in again; it is taken up by itself.',
    details: { lost: true },
  });
