import { type Clock, systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import { ChunkSize } from './chunk-size.js';
import { explainRefusal } from './explain-refusal.js';
import { gotLost, NoReplyError, RefusedError, RequestLine, type RequestOptions } from './request-line.js';
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
export const attempts = 5;
/** For how long it is sent again, and a board may be busy with what an earlier owner asked for. */
const againMs = 10_000;
const busyPauseMs = 100;

/** Requests that are repeated when no reply came, with time-outs that fit the line, and errors that say what to do. */
export class PatientLine {
  readonly line: RequestLine;
  readonly clock: Clock;
  /** Bytes in a frame to the board, and from it. */
  readonly up = new ChunkSize();
  readonly down = new ChunkSize();
  readonly #options: PatientLineOptions;

  constructor(options: PatientLineOptions) {
    this.#options = options;
    this.clock = options.clock ?? systemClock;
    this.line = new RequestLine(options.transport, this.clock);
  }

  /** Asks again when no reply came, or the board was busy: every request may be repeated without harm. */
  async ask(kind: number, payload: Uint8Array, options: RequestOptions): Promise<Uint8Array> {
    const startUs = this.clock.monotonicUs();
    for (let attempt = 1; ; ) {
      try {
        return await this.line.request(kind, payload, {
          ...options,
          timeoutMs: options.timeoutMs ?? this.timeout(300, payload.length),
        });
      } catch (thrown) {
        if (this.isBusy(thrown, startUs)) {
          await this.clock.sleep(busyPauseMs, { signal: options.signal });
          continue;
        }
        const late = (this.clock.monotonicUs() - startUs) / 1000 >= againMs * this.patience;
        if (!gotLost(thrown) || late || attempt++ === attempts) throw this.explain(thrown);
      }
    }
  }

  /** Whether the board refused since it still ends something else, and is worth asking again. */
  isBusy(thrown: unknown, sinceUs: number): boolean {
    const waitedMs = (this.clock.monotonicUs() - sinceUs) / 1000;
    return (
      thrown instanceof RefusedError &&
      thrown.details.refusal === 'busy' &&
      waitedMs < againMs * this.patience
    );
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

  /** A sound frame whose content cannot be: no line does that. */
  nonsense(what: string, cause?: unknown): HildaError {
    const { name } = this.#options.transport;
    return new HildaError('DEVICE_FAILED', `the board at ${name} answers with what cannot be: ${what}`, {
      cause,
      hint: 'Flash the firmware of this version of hilda: `hilda devices flash`.',
    });
  }

  /** The error that a person is told: what a refusal means, and that a board is silent. */
  explain(thrown: unknown): unknown {
    if (thrown instanceof RefusedError) return explainRefusal(thrown, this.#options.transport.name);
    // An answer that is shorter or longer than what was asked for.
    if (thrown instanceof RangeError) return this.nonsense(thrown.message, thrown);
    if (!(thrown instanceof NoReplyError)) return thrown;
    return new HildaError('DEVICE_FAILED', `the board at ${this.#options.transport.name} does not answer`, {
      cause: thrown,
      hint: 'Is it flashed (`hilda devices flash`), and is the baud rate that of its profile? `hilda doctor` looks.',
      details: { unanswered: true },
    });
  }
}
