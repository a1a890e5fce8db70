import { HildaError } from '../../daemon/core/errors.js';
import { type Hello, type ResetReason, resetReasons } from './messages.js';
import { isRestart, openSession } from './open-session.js';
import type { PatientLine } from './patient-line.js';
import { sameBoard } from './same-board.js';

export interface SessionLifeOptions {
  /** Of the board's line, for people. */
  readonly name: string;
  /** 32 random bits, never 0: tells this session from every other. */
  readonly nonce: () => number;
  /** The board that is to answer; any, the first time, unless said. */
  readonly expected?: Pick<Hello, 'board' | 'chipId'> | undefined;
}

/**
 * Which session a board is in. Hello is due at first, after an abort that was not confirmed, and once the board started anew; then
 * the call under way fails, or else the next one.
 */
export class SessionLife {
  readonly #requests: PatientLine;
  readonly #options: SessionLifeOptions;
  #hello: Hello | undefined;
  #helloDue = true;
  /** That the board started anew, until a call was told. */
  #restarted: HildaError | undefined;
  #awaitsBoot: (() => void) | undefined;

  constructor(requests: PatientLine, options: SessionLifeOptions) {
    this.#requests = requests;
    this.#options = options;
  }

  /** The last hello of the board, and what is known of it since. Throws before the first `hello`. */
  get board(): Hello {
    if (!this.#hello) throw new HildaError('DEVICE_FAILED', 'the board has not said hello yet');
    return this.#hello;
  }

  /** What changed on the board since its hello. */
  know(facts: Partial<Hello>): void {
    this.#hello = { ...this.board, ...facts };
  }

  /** Before a piece of work that relies on nothing the board holds: says hello where that is due. */
  async ready(signal: AbortSignal): Promise<void> {
    if (!this.#helloDue) return;
    this.#restarted = undefined;
    await this.hello(signal);
  }

  /** `bootMs`: how long the board may take to start. */
  async hello(signal: AbortSignal, bootMs?: number): Promise<Hello> {
    const { name, expected, nonce } = this.#options;
    const hello = await openSession(this.#requests, { nonce, signal, bootMs });
    this.#hello = sameBoard(hello, this.#hello ?? expected, name);
    this.#helloDue = false;
    this.#restarted = undefined;
    return this.#hello;
  }

  /** A call that relies on what the board holds. */
  async call<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const restarted = this.#restarted;
    this.#restarted = undefined;
    if (restarted) throw restarted;
    await this.ready(signal);
    try {
      return await work();
    } catch (thrown) {
      if (isRestart(thrown)) {
        this.#helloDue = true;
        this.#restarted = undefined;
      }
      throw thrown instanceof RangeError ? this.#requests.explain(thrown) : thrown;
    }
  }

  /** The board may still be at work for a call that was aborted: the next hello ends that. */
  left(): void {
    this.#helloDue = true;
  }

  /** An answer showed that the board started anew: the next call is told, unless hello is due already. */
  noteRestart(error: HildaError): void {
    if (!this.#helloDue) this.#startedAnew(error);
  }

  /** Resolves at the next boot, which is no news to the calls that follow. */
  bootAwaited(): { readonly booted: Promise<void>; over(): void } {
    const booted = new Promise<void>((resolve) => {
      this.#awaitsBoot = resolve;
    });
    return {
      booted,
      over: () => {
        this.#awaitsBoot = undefined;
      },
    };
  }

  /** The board said that it came up. */
  booted(payload: Uint8Array): ResetReason {
    const reason = resetReasons[payload[0] ?? -1] ?? 'unknown';
    if (this.#awaitsBoot) this.#awaitsBoot();
    else {
      const error = restartedByItself(this.#options.name, reason);
      this.#startedAnew(error);
      // What was under way will never be answered.
      this.#requests.line.startSession(0, error);
    }
    return reason;
  }

  #startedAnew(error: HildaError): void {
    this.#helloDue = true;
    this.#restarted = error;
  }
}

const restartedByItself = (board: string, reason: ResetReason): HildaError =>
  new HildaError('DEVICE_FAILED', `the board at ${board} restarted by itself: ${reason}`, {
    details: { restarted: true, reason },
  });
