import { type Clock, systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import { explainRefusal } from './explain-refusal.js';
import { NoReplyError, RefusedError, RequestLine, type RequestOptions } from './request-line.js';
import type { Transport } from './transports/transport.js';

export interface PatientLineOptions {
  readonly transport: Transport;
  readonly clock?: Clock;
  /** Of the line; only to judge how long an answer may take. Emulators without a line's pace leave it out. */
  readonly baud?: number | undefined;
  /** A multiple of every time-out, for emulators that run slower than boards. */
  readonly patience?: number;
}

/** How often a request is sent before its board counts as silent. */
export const attempts = 3;

/** Requests that are repeated when no reply came, with time-outs that fit the line, and errors that say what to do. */
export class PatientLine {
  readonly line: RequestLine;
  readonly #options: PatientLineOptions;

  constructor(options: PatientLineOptions) {
    this.#options = options;
    this.line = new RequestLine(options.transport, options.clock ?? systemClock);
  }

  /** Asks again when no reply came: every request may be repeated without harm. */
  async ask(kind: number, payload: Uint8Array, options: RequestOptions): Promise<Uint8Array> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.line.request(kind, payload, {
          ...options,
          timeoutMs: options.timeoutMs ?? this.timeout(300, payload.length),
        });
      } catch (thrown) {
        if (!(thrown instanceof NoReplyError) || attempt === attempts) throw this.explain(thrown);
      }
    }
  }

  /** The factor on every time-out. */
  get patience(): number {
    return this.#options.patience ?? 1;
  }

  /** The board's own time and the line's for that many bytes both ways. */
  timeout(ms: number, bytes = 0): number {
    const lineMs = this.#options.baud ? (2 * 1000 * 10 * (bytes + 64)) / this.#options.baud : 0;
    return (ms + lineMs) * this.patience;
  }

  /** The error that a person is told: what a refusal means, and that a board is silent. */
  explain(thrown: unknown): unknown {
    if (thrown instanceof RefusedError) return explainRefusal(thrown, this.#options.transport.name);
    if (!(thrown instanceof NoReplyError)) return thrown;
    return new HildaError('DEVICE_FAILED', `the board at ${this.#options.transport.name} does not answer`, {
      cause: thrown,
      hint: 'Is it flashed (`hilda devices flash`), and is the baud rate that of its profile? `hilda doctor` looks.',
      details: { unanswered: true },
    });
  }
}
