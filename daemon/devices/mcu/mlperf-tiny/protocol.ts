import type { Transport } from '../../../../firmware-bridge/link/index.js';
import type { Clock } from '../../../core/clock.js';
import { HildaError } from '../../../core/errors.js';
import { type Answer, found, modelled, named, readInfer, resulted, type TimedRuns } from './answers.js';
import { CommandLine, type Waiting } from './command-line.js';
import { isTrouble, trouble } from './line-trouble.js';

/** Between two `db` commands the firmware takes at most 80 characters; the official runner sends 31 bytes at a time. */
const bytesPerCommand = 31;
/** How long a board may boot before it answers. */
export const bootMs = 9200;
/** How often a board that may be booting is asked for its name. */
const askAgainMs = 700;

export interface Identity {
  readonly name: string;
  /** The model that is compiled in, e.g. `ic01`. */
  readonly model: string;
}

/** One `infer` with the host's times beside the firmware's. */
export interface Inference extends TimedRuns {
  readonly runs: number;
  /** Before its command was sent, microseconds of the host's clock. */
  readonly sentUs: number;
}

/**
 * The serial protocol of MLPerf Tiny's reference firmware (EEMBC's `ee_main`): commands end with `%`, an answer is lines
 * and the prompt `m-ready`. Commands are answered in order, so an answer that does not fit its command is an earlier one's
 * and is passed over. Errors: DEVICE_FAILED with `details.line` (and `details.unanswered` where the board is silent),
 * DEVICE_GONE once the line is lost, INTERRUPTED.
 */
export class MlperfTinyLine {
  readonly #line: CommandLine;
  readonly #clock: Clock;
  /** Run counts of commands that got no answer: none of them is used again until a later one is answered. */
  readonly #unanswered = new Set<number>();
  #identity: Identity | undefined;

  constructor(transport: Transport, clock: Clock) {
    this.#line = new CommandLine(transport, clock);
    this.#clock = clock;
  }

  /** What the line takes for a command and its answer, in the middle of the last ones. Microseconds. */
  get roundTripUs(): number {
    return this.#line.roundTripUs;
  }

  /** What the port said so far without being recognised. */
  get heard(): string {
    return this.#line.heard;
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
          const value = await this.#line.ask(command, { signal, onWait, timeoutMs: askAgainMs, read });
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
      await this.#line.drain(signal);
      try {
        const name = await this.#line.ask('name', { signal, onWait, timeoutMs, read: named });
        if (name === this.#identity?.name) return this.#line.forgetRoundTrips();
        if (name === other)
          throw new HildaError('DEVICE_GONE', `${name} answers where ${this.#identity?.name} was`, {
            hint: 'Another board is plugged in, or another firmware on it: look again.',
          });
        other = name;
      } catch (error) {
        if (!isTrouble(error)) throw error;
        if (this.#clock.monotonicUs() > untilUs) throw error;
      }
      this.#line.tell(onWait);
    }
  }

  /** Puts the input of the next inferences on the board. */
  async load(input: Uint8Array, waiting: Waiting): Promise<void> {
    const expected = `m-[Expecting ${input.length} bytes]`;
    await this.#line.ask(`db load ${input.length}`, {
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
      await this.#line.ask(`db ${hex.toUpperCase()}`, {
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
    const timed = await this.#line.ask(`infer ${runs} 0`, {
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
    return this.#line.ask('results', { ...waiting, read: resulted });
  }

  async close(): Promise<void> {
    await this.#line.close();
  }
}
