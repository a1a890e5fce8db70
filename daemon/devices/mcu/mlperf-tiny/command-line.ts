import type { Transport } from '../../../../firmware-bridge/link/index.js';
import type { Clock } from '../../../core/clock.js';
import { HildaError } from '../../../core/errors.js';
import { median } from '../../../measure/statistics.js';
import { type Answer, AnswerReader, refusal, tellsOfStart } from './answers.js';
import { trouble } from './line-trouble.js';

const commandMs = 5000;
/** A board that says nothing for so long has nothing more to say to earlier commands. */
const quietMs = 250;
const recentRoundTrips = 31;
/** Waits are told at least this often. */
const tellMs = 2000;

export interface Waiting {
  readonly signal: AbortSignal;
  /** Hears now and then that an answer is still waited for. */
  readonly onWait?: (() => void) | undefined;
}

export interface Asking<T> extends Waiting {
  readonly timeoutMs?: number;
  /** The board is long about it: the time to its answer says nothing of the line. */
  readonly takesTime?: boolean;
  readonly read: (answer: Answer) => T | undefined;
}

/**
 * Commands that end with `%` and their answers over a serial line, in order; what they mean is the caller's. Errors: DEVICE_FAILED
 * with `details.line`, DEVICE_GONE once the line is lost, and the signal's reason.
 */
export class CommandLine {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #reader = new AnswerReader();
  #answers: Answer[] = [];
  #heardUs: number;
  #toldUs = 0;
  #lost: HildaError | undefined;
  #wake: () => void = () => {};
  /** Times from a command to its answer, of late commands that take the board no time. */
  readonly #roundTripsUs: number[] = [];

  constructor(transport: Transport, clock: Clock) {
    this.#transport = transport;
    this.#clock = clock;
    this.#heardUs = clock.monotonicUs();
    transport.onBytes((bytes) => {
      this.#heardUs = clock.monotonicUs();
      this.#answers.push(...this.#reader.push(bytes, this.#heardUs));
      this.#wake();
    });
    transport.onClose((reason) => {
      this.#lost = new HildaError('DEVICE_GONE', `the line to ${transport.name} is gone: ${reason}`, {
        hint: 'Plug the board in again; it is taken up by itself.',
      });
      this.#wake();
    });
  }

  /** What the line takes for a command and its answer, in the middle of the last ones. Microseconds. */
  get roundTripUs(): number {
    return this.#roundTripsUs.length > 0 ? median(this.#roundTripsUs) : 0;
  }

  /** What the port said so far without being recognised. */
  get heard(): string {
    return this.#reader.heard;
  }

  /** Sends a command and answers with what `read` makes of the first answer that is not undefined. */
  async ask<T>(
    command: string,
    { signal, onWait, timeoutMs = commandMs, takesTime = false, read }: Asking<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    if (this.#lost) throw this.#lost;
    const shown = command.slice(0, 40);
    const sentUs = this.#clock.monotonicUs();
    await this.#transport.write(new TextEncoder().encode(`${command}%`));
    const untilUs = this.#clock.monotonicUs() + timeoutMs * 1000;
    for (;;) {
      for (let answer = this.#answers.shift(); answer; answer = this.#answers.shift()) {
        const value = read(answer);
        if (value !== undefined) {
          if (!takesTime) this.#took(answer.endUs - sentUs);
          this.tell(onWait);
          return value;
        }
        if (tellsOfStart(answer)) throw trouble('restarted', 'the board started anew');
        const refused = refusal(answer);
        if (refused !== undefined) throw trouble('refused', `the firmware refuses "${shown}": ${refused}`);
      }
      if (this.#lost) throw this.#lost;
      signal.throwIfAborted();
      const leftMs = (untilUs - this.#clock.monotonicUs()) / 1000;
      if (leftMs <= 0)
        throw trouble('unanswered', `no answer to "${shown}" within ${Math.round(timeoutMs)} ms`);
      const waitMs = Math.min(leftMs, tellMs);
      await this.#news(waitMs, signal);
      this.tell(onWait);
    }
  }

  /** Tells of a wait, where none was told of lately. */
  tell(onWait: (() => void) | undefined): void {
    const nowUs = this.#clock.monotonicUs();
    if (nowUs - this.#toldUs < tellMs * 1000) return;
    this.#toldUs = nowUs;
    onWait?.();
  }

  /** Waits until the board is silent, and forgets what it said; a board that never stops is not waited for. */
  async drain(signal: AbortSignal): Promise<void> {
    await this.#silence(signal);
    this.#answers = [];
    this.#reader.clear();
  }

  /** Keeps the last round trip alone: what the line took before says nothing of today. */
  forgetRoundTrips(): void {
    this.#roundTripsUs.splice(0, this.#roundTripsUs.length - 1);
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  #took(us: number): void {
    if (us < 0) return;
    this.#roundTripsUs.push(us);
    if (this.#roundTripsUs.length > recentRoundTrips) this.#roundTripsUs.shift();
  }

  async #silence(signal: AbortSignal): Promise<void> {
    const needUs = quietMs * 1000 + 2 * this.roundTripUs;
    const untilUs = this.#clock.monotonicUs() + 8 * needUs;
    for (;;) {
      if (this.#lost) throw this.#lost;
      signal.throwIfAborted();
      const nowUs = this.#clock.monotonicUs();
      const leftUs = Math.min(needUs - (nowUs - this.#heardUs), untilUs - nowUs);
      if (leftUs <= 0) return;
      await this.#news(leftUs / 1000, signal);
    }
  }

  /** Until bytes come, the line is lost, the signal aborts or `ms` are over. */
  async #news(ms: number, signal: AbortSignal): Promise<void> {
    const timer = new AbortController();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true, signal: timer.signal });
      this.#clock.sleep(ms, { signal: timer.signal }).then(resolve, () => {});
    });
    this.#wake = () => {};
    timer.abort();
  }
}
