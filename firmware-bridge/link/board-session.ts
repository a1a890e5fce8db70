import { crc32 } from 'node:zlib';
import { type Clock, systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import { readArena, readTicks, writeArena } from './board-memory.js';
import { fillPool, poolSeed } from './fill-pool.js';
import {
  type Hello,
  kinds,
  type ProgramFacts,
  pack,
  type ResetReason,
  type RunReport,
  resetReasons,
  type Slot,
  spaces,
  viewOf,
} from './messages.js';
import { isRestart, openSession } from './open-session.js';
import { PatientLine, type PatientLineOptions } from './patient-line.js';
import { gotLost, RefusedError, type RequestOptions } from './request-line.js';
import { type Feed, type RunOptions, runProgram } from './run-program.js';
import { sameBoard } from './same-board.js';
import { uploadChecked } from './upload-checked.js';

export interface BoardSessionOptions extends PatientLineOptions {
  /** 32 random bits, never 0: tells this session from every other. */
  readonly nonce: () => number;
  /** The board that is to answer; any, the first time, unless said. */
  readonly expected?: Pick<Hello, 'board' | 'chipId'> | undefined;
}

export interface Call {
  readonly signal: AbortSignal;
}

/**
 * A conversation with one board. Calls may not overlap, but for `ping`. Errors: DEVICE_FAILED (no answer, line gone, board
 * restarted by itself: `details.restarted`), DEVICE_GONE (another board answers), FIRMWARE_MISMATCH, NETWORK_REJECTED,
 * DEVICE_OUT_OF_MEMORY, DEVICE_TIMEOUT, INTERRUPTED.
 *
 * A board that starts anew has lost its RAM: the call under way fails, or else the next one, unless `ready` was called in
 * between. Calls after that one say hello first.
 */
export class BoardSession {
  readonly #options: BoardSessionOptions;
  readonly #clock: Clock;
  readonly #requests: PatientLine;
  #hello: Hello | undefined;
  #helloDue = true;
  /** That the board started anew, until a call was told. */
  #restarted: HildaError | undefined;
  /** A fill under way that firmware of link version 1 answers no ping beside. */
  #deaf = false;
  #boot: ((reason: ResetReason) => void) | undefined;
  #feed: Feed | undefined;
  /** Hears what the board logs. */
  onLog: (text: string) => void = () => {};
  /** Hears that the board started anew, for any cause. */
  onBoot: (reason: ResetReason) => void = () => {};

  constructor(options: BoardSessionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#requests = new PatientLine(options);
    this.#requests.line.onAnnouncement = (kind, payload) => this.#announced(kind, payload);
  }

  /** What the board said of itself last. Throws before the first `hello`. */
  get board(): Hello {
    if (!this.#hello) throw new HildaError('DEVICE_FAILED', 'the board has not said hello yet');
    return this.#hello;
  }

  get droppedFrames(): number {
    return this.#requests.line.droppedFrames;
  }

  /** Why the line is gone, once it is. */
  get lost(): HildaError | undefined {
    return this.#requests.line.lost;
  }

  /** Sound frames that came; a number that grows shows that the board lives. */
  get heard(): number {
    return this.#requests.line.heard;
  }

  /** Whether the line has means to restart the board. */
  get restartable(): boolean {
    return this.#options.transport.restart !== undefined;
  }

  /** Whether the board is at something during which it cannot answer. */
  get deaf(): boolean {
    return this.#deaf;
  }

  /** Before a piece of work that relies on nothing the board holds: says hello where that is due. */
  async ready({ signal }: Call): Promise<void> {
    if (!this.#helloDue) return;
    this.#restarted = undefined;
    await this.hello({ signal });
  }

  /** Opens a session in any state of the board; what it still does for an earlier one ends. */
  async hello({ signal }: Call): Promise<Hello> {
    const { transport, expected, nonce } = this.#options;
    const hello = await openSession(this.#requests, { nonce, signal });
    this.#hello = sameBoard(hello, this.#hello ?? expected, transport.name);
    this.#helloDue = false;
    this.#restarted = undefined;
    return this.#hello;
  }

  /** `running`: the operator that a run has reached; null while idle. */
  async ping({
    signal,
    timeoutMs = this.#requests.timeout(500),
  }: RequestOptions = {}): Promise<{ running: number | null }> {
    try {
      const answer = viewOf(await this.#requests.line.request(kinds.ping, pack(), { signal, timeoutMs }));
      if (answer.getUint8(0) !== 0) this.#requests.line.atWork();
      return { running: answer.getUint8(0) === 1 ? answer.getUint16(2, true) : null };
    } catch (thrown) {
      const error = this.#requests.explain(thrown);
      if (isRestart(error) && !this.#helloDue) this.#startedAnew(error);
      throw error;
    }
  }

  async echo(bytes: Uint8Array, { signal }: Call): Promise<Uint8Array> {
    return this.#call(signal, () => this.#requests.ask(kinds.echo, bytes, { signal }));
  }

  /** Fills the pool unless it is filled already. Takes seconds where it lies in flash; an abort ends it. */
  async preparePool({ signal }: Call): Promise<void> {
    await this.#call(signal, async () => {
      if (this.board.poolSeed === poolSeed || this.board.poolBytes === 0) return;
      // Former firmware answers no ping beside it.
      this.#deaf = this.board.linkVersion < 2;
      try {
        await fillPool(this.#requests, this.board, { signal, onLeft: () => this.#left() });
      } finally {
        this.#deaf = false;
      }
      this.#hello = { ...this.board, poolSeed };
    });
  }

  /** Fills part of the arena with the bytes of a seed; answers with their CRC-32. */
  async fill(offset: number, bytes: number, seed: number, { signal }: Call): Promise<number> {
    const payload = pack([spaces.arena, 8], [offset, 32], [bytes, 32], [seed, 32]);
    const timeoutMs = this.#requests.timeout(5000);
    return this.#call(signal, async () =>
      viewOf(await this.#requests.ask(kinds.fill, payload, { signal, timeoutMs })).getUint32(0, true),
    );
  }

  read(offset: number, bytes: number, { signal }: Call): Promise<Uint8Array> {
    return this.#call(signal, () => readArena(this.#requests, this.board, { offset, bytes, signal }));
  }

  async write(offset: number, bytes: Uint8Array, { signal }: Call): Promise<void> {
    await this.#call(signal, () => writeArena(this.#requests, this.board, { offset, bytes, signal }));
  }

  /** Sends a program and has it checked. */
  upload(
    slot: Slot,
    program: Uint8Array,
    options: Call & { readonly onProgress?: (sentBytes: number) => void },
  ): Promise<ProgramFacts> {
    return this.#call(options.signal, () =>
      uploadChecked(this.#requests, this.board, slot, program, options),
    );
  }

  /** Runs a program that was uploaded. An abort cancels it on the board and acts within a second. */
  run(options: RunOptions): Promise<RunReport> {
    return this.#call(options.signal, async () => {
      try {
        return await runProgram(this.#requests, this.board, options, {
          onFeed: (feed) => {
            this.#feed = feed;
          },
          onLeft: () => this.#left(),
        });
      } finally {
        this.#feed = undefined;
      }
    });
  }

  /**
   * Ticks of each operator record of the last run, by index; 0 for members of a group, which counts as one, 2^32 - 1 where
   * there were as many or more.
   */
  ticks(operators: number, { signal }: Call): Promise<number[]> {
    return this.#call(signal, () => readTicks(this.#requests, this.board, { operators, signal }));
  }

  /** Puts a program into the board's flash, where it survives power, and answers with its facts. */
  async deploy(
    program: Uint8Array,
    options: Call & { readonly onProgress?: (sentBytes: number) => void },
  ): Promise<ProgramFacts> {
    const { signal } = options;
    const facts = await this.upload('deployed', program, options);
    const timeoutMs = this.#requests.timeout(3000);
    await this.#call(signal, () =>
      this.#requests.ask(kinds.commit, pack(), { signal, timeoutMs, lasting: true }),
    );
    this.#hello = { ...this.board, deployedBytes: program.length, deployedCrc: crc32(program) };
    return facts;
  }

  /** Removes the deployment. */
  async erase({ signal }: Call): Promise<void> {
    const timeoutMs = this.#requests.timeout(10_000);
    await this.#call(signal, () =>
      this.#requests.ask(kinds.erase, pack(), { signal, timeoutMs, lasting: true }),
    );
    this.#hello = { ...this.board, deployedBytes: 0, deployedCrc: 0 };
  }

  /** Restarts the board and opens a new session with it. */
  async reset({ signal }: Call): Promise<Hello> {
    await this.ready({ signal });
    const booted = new Promise<void>((resolve) => {
      this.#boot = () => resolve();
    });
    await this.#requests.line
      .request(kinds.reset, pack(), { signal, timeoutMs: this.#requests.timeout(500) })
      .catch(() => {});
    await Promise.race([booted, this.#clock.sleep(this.#requests.timeout(1000), { signal }).catch(() => {})]);
    this.#boot = undefined;
    return this.hello({ signal });
  }

  /** The board starts its boot loader and leaves the line. Throws STATE_CONFLICT where its firmware has no way to. */
  async enterLoader({ signal }: Call): Promise<void> {
    await this.ready({ signal });
    try {
      const timeoutMs = this.#requests.timeout(1000);
      await this.#requests.line.request(kinds.loader, pack(), { signal, timeoutMs });
    } catch (thrown) {
      if (thrown instanceof RefusedError && thrown.details.refusal === 'unknown') throw noWayIntoLoader();
      // The board may have gone before its reply was read.
      if (!gotLost(thrown) && !this.lost) throw this.#requests.explain(thrown);
    }
  }

  /**
   * Restarts a board that no longer answers, by the line's own means; DEVICE_FAILED where it has none. What is under way
   * ends with `reason`.
   */
  async restart({ signal, reason }: Call & { readonly reason: HildaError }): Promise<Hello> {
    const { transport } = this.#options;
    if (!transport.restart) {
      throw new HildaError(
        'DEVICE_FAILED',
        `the board at ${transport.name} hangs and cannot be restarted from here`,
        {
          hint: 'Press its reset button or plug it in again.',
        },
      );
    }
    this.#requests.line.startSession(0, reason);
    await transport.restart();
    return this.hello({ signal });
  }

  /** Ends every call under way with this error, and all later ones: the board is given up. */
  fail(error: HildaError): void {
    this.#requests.line.fail(error);
  }

  async close(): Promise<void> {
    this.#requests.line.fail(new HildaError('DEVICE_FAILED', 'the session was closed'));
    await this.#options.transport.close();
  }

  /** A call that relies on what the board holds. */
  async #call<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const restarted = this.#restarted;
    this.#restarted = undefined;
    if (restarted) throw restarted;
    await this.ready({ signal });
    try {
      return await work();
    } catch (thrown) {
      if (isRestart(thrown)) {
        this.#helloDue = true;
        this.#restarted = undefined;
      }
      throw thrown;
    }
  }

  #startedAnew(error: HildaError): void {
    this.#helloDue = true;
    this.#restarted = error;
  }

  /** The board may still be at work for a call that was aborted: the next hello ends that. */
  #left(): void {
    this.#helloDue = true;
  }

  #announced(kind: number, payload: Uint8Array): void {
    if (kind === kinds.log) this.onLog(new TextDecoder().decode(payload));
    if (kind === kinds.boot) {
      const reason = resetReasons[payload[0] ?? -1] ?? 'unknown';
      this.onBoot(reason);
      // What was under way will never be answered; the reset that was asked for is no news.
      if (this.#boot) this.#boot(reason);
      else {
        const error = restarted(this.#options.transport.name, reason);
        this.#startedAnew(error);
        this.#requests.line.startSession(0, error);
      }
    }
    if (kind === kinds.want && payload.length >= 8) {
      const view = viewOf(payload);
      this.#feed?.(view.getUint32(0, true), view.getUint32(4, true));
    }
  }
}

const restarted = (board: string, reason: ResetReason): HildaError =>
  new HildaError('DEVICE_FAILED', `the board at ${board} restarted by itself: ${reason}`, {
    details: { restarted: true, reason },
  });

const noWayIntoLoader = (): HildaError =>
  new HildaError('STATE_CONFLICT', 'the firmware of the board has no way into its boot loader');
