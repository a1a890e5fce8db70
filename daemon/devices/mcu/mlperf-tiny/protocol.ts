import type { Transport } from '../../../../firmware-bridge/link/index.js';
import type { Clock } from '../../../core/clock.js';
import { HildaError } from '../../../core/errors.js';
import { median } from '../../../measure/statistics.js';
import {
  type Answer,
  AnswerReader,
  found,
  modelled,
  named,
  readInfer,
  refusal,
  resulted,
  type TimedRuns,
  tellsOfStart,
} from './answers.js';

/** Between two `db` commands the firmware takes at most 80 characters; the official runner sends 31 bytes at a time. */
const bytesPerCommand = 31;
const commandMs = 5000;
/** A board that says nothing for so long has nothing more to say to earlier commands. */
const quietMs = 250;
/** How long a board may boot before it answers. */
export const bootMs = 9200;
/** How often a board that may be booting is asked for its name. */
const askAgainMs = 700;
const recentRoundTrips = 31;
/** Waits are told at least this often. */
const tellMs = 2000;

export interface Identity {
  readonly name: string;
  /** The model that is compiled in, e.g. `ic01`. */
  readonly model: string;
}

export interface Waiting {
  readonly signal: AbortSignal;
  /** Hears now and then that an answer is still waited for. */
  readonly onWait?: (() => void) | undefined;
}

/** One `infer` with the host's times beside the firmware's. */
export interface Inference extends TimedRuns {
  readonly runs: number;
  /** Before its command was sent, microseconds of the host's clock. */
  readonly sentUs: number;
}

/** What went wrong with an answer; `details.line` of the error. */
export type LineTrouble = 'unanswered' | 'damaged' | 'refused' | 'restarted' | 'untimed';

/**
 * The serial protocol of MLPerf Tiny's reference firmware (EEMBC's `ee_main`): commands end with `%`, an answer is lines
 * and the prompt `m-ready`. Commands are answered in order, so an answer that does not fit its command is an earlier one's
 * and is passed over. Errors: DEVICE_FAILED with `details.line` (and `details.unanswered` where the board is silent),
 * DEVICE_GONE once the line is lost, INTERRUPTED.
 */
export class MlperfTinyLine {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #reader = new AnswerReader();
  /** Run counts of commands that got no answer: none of them is used again until a later one is answered. */
  readonly #unanswered = new Set<number>();
  #answers: Answer[] = [];
  #heardUs: number;
  #toldUs = 0;
  #lost: HildaError | undefined;
  #wake: () => void = () => {};
  #identity: Identity | undefined;
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

  /**
   * What the firmware calls itself and the model it holds. Each is asked until two answers agree, as a bit may flip on the
   * line; a board that boots is asked for `patienceMs`.
   */
  async identify({ signal, onWait }: Waiting, patienceMs = bootMs): Promise<Identity> {
    const untilUs = this.#clock.monotonicUs() + patienceMs * 1000;
    const twice = async (command: string, read: (answer: Answer) => string | undefined): Promise<string> => {
      const seen = new Set<string>();
      for (;;) {
        try {
          const value = await this.#ask(command, { signal, onWait, timeoutMs: askAgainMs, read });
          if (seen.has(value)) return value;
          seen.add(value);
          if (seen.size > 1 && this.#clock.monotonicUs() > untilUs)
            throw trouble('damaged', `the firmware answers "${command}" with ${[...seen].join(', ')}`);
        } catch (error) {
          if (!isTrouble(error) || this.#clock.monotonicUs() + askAgainMs * 1000 > untilUs) throw error;
        }
      }
    };
    this.#identity = { name: await twice('name', named), model: await twice('profile', modelled) };
    return this.#identity;
  }

  /**
   * Puts host and board in step after any earlier command: waits until the board is silent, then until it answers to its
   * name. Throws DEVICE_FAILED with `details.unanswered` where it does not within `patienceMs`, DEVICE_GONE where another
   * board answers.
   */
  async synchronise({ signal, onWait }: Waiting, patienceMs = bootMs): Promise<void> {
    const untilUs = this.#clock.monotonicUs() + patienceMs * 1000;
    let other: string | undefined;
    // Answers may have become later than they were: each try waits longer than the one before.
    for (let timeoutMs = askAgainMs + this.roundTripUs / 500; ; timeoutMs *= 1.5) {
      await this.#silence(signal);
      this.#answers = [];
      this.#reader.clear();
      try {
        const name = await this.#ask('name', { signal, onWait, timeoutMs, read: named });
        // What the line took in former measurements says nothing of today.
        if (name === this.#identity?.name)
          return void this.#roundTripsUs.splice(0, this.#roundTripsUs.length - 1);
        if (name === other)
          throw new HildaError('DEVICE_GONE', `${name} answers where ${this.#identity?.name} was`, {
            hint: 'Another board is plugged in, or another firmware on it: look again.',
          });
        other = name;
      } catch (error) {
        if (!isTrouble(error)) throw error;
        if (this.#clock.monotonicUs() > untilUs) throw error;
      }
      this.#tell(onWait);
    }
  }

  /** Puts the input of the next inferences on the board. */
  async load(input: Uint8Array, waiting: Waiting): Promise<void> {
    const expected = `m-[Expecting ${input.length} bytes]`;
    await this.#ask(`db load ${input.length}`, {
      ...waiting,
      read: (answer) => {
        const told = found(answer, /^(m-\[Expecting.*)$/);
        if (told !== undefined && told !== expected)
          throw trouble('damaged', `the firmware tells "${told}", not "${expected}"`);
        return told;
      },
    });
    for (let at = 0; at < input.length; at += bytesPerCommand) {
      const hex = Buffer.from(input.subarray(at, at + bytesPerCommand)).toString('hex');
      const last = at + bytesPerCommand >= input.length;
      await this.#ask(`db ${hex.toUpperCase()}`, {
        ...waiting,
        read: (answer) => {
          const done = answer.lines.some(({ text }) => text === 'm-load-done');
          if (done && !last) throw trouble('damaged', 'the firmware has all of the input too early');
          return done || !last || undefined;
        },
      });
    }
  }

  /** The smallest count from `runs` on that no unanswered command carries: answers are told apart by it. */
  unusedRuns(runs: number): number {
    let free = runs;
    while (this.#unanswered.has(free)) free++;
    return free;
  }

  /** Times `runs` inferences, `unusedRuns` of them. Always without warm-up: the caller times runs of every kind. */
  async infer(runs: number, waiting: Waiting, timeoutMs: number): Promise<Inference> {
    const sentUs = this.#clock.monotonicUs();
    this.#unanswered.add(runs);
    const timed = await this.#ask(`infer ${runs} 0`, {
      ...waiting,
      takesTime: true,
      timeoutMs: timeoutMs + (2 * this.roundTripUs) / 1000,
      read: (answer) => {
        const inference = readInfer(answer, runs);
        if (inference === 'other') return undefined;
        if (inference === 'untimed')
          throw trouble('untimed', 'the firmware gave no times: it was built for energy measurement');
        if (inference === 'damaged')
          throw trouble('damaged', `the answer to "infer ${runs} 0" came damaged or is an earlier one's`);
        return inference;
      },
    });
    this.#unanswered.clear();
    return { ...timed, runs, sentUs };
  }

  /** The outputs of the last inference, as the firmware writes them. */
  results(waiting: Waiting): Promise<string> {
    return this.#ask('results', { ...waiting, read: resulted });
  }

  async close(): Promise<void> {
    await this.#transport.close();
  }

  /** Sends a command and answers with what `read` makes of the first answer that is not undefined. */
  async #ask<T>(
    command: string,
    {
      signal,
      onWait,
      timeoutMs = commandMs,
      takesTime = false,
      read,
    }: Waiting & {
      readonly timeoutMs?: number;
      readonly takesTime?: boolean;
      readonly read: (answer: Answer) => T | undefined;
    },
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
          this.#tell(onWait);
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
      this.#tell(onWait);
    }
  }

  #tell(onWait: (() => void) | undefined): void {
    const nowUs = this.#clock.monotonicUs();
    if (nowUs - this.#toldUs < tellMs * 1000) return;
    this.#toldUs = nowUs;
    onWait?.();
  }

  #took(us: number): void {
    if (us < 0) return;
    this.#roundTripsUs.push(us);
    if (this.#roundTripsUs.length > recentRoundTrips) this.#roundTripsUs.shift();
  }

  /** Until nothing comes any more; a board that never stops is not waited for. */
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

const hints: Readonly<Record<LineTrouble, string>> = {
  unanswered: 'Is the MLPerf Tiny firmware running, and the baud rate 115,200 (9,600 for energy)?',
  damaged: 'The line damages bytes: try a shorter cable, or a port that no other program uses.',
  refused: 'The firmware does not know the command, or the line damages bytes.',
  restarted: 'The board restarts by itself: is its supply sound?',
  untimed: 'Build the firmware for performance measurement.',
};

const trouble = (line: LineTrouble, message: string): HildaError =>
  new HildaError('DEVICE_FAILED', message, {
    hint: hints[line],
    details: { line, ...(line === 'unanswered' && { unanswered: true }) },
  });

/** What asking again may cure. */
export const isTrouble = (error: unknown): error is HildaError =>
  error instanceof HildaError && error.code === 'DEVICE_FAILED' && error.details.line !== undefined;
