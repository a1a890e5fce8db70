import { crc32 } from 'node:zlib';
import { type Clock, systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import { readArena, readTicks, writeArena } from './board-memory.js';
import { enterLoader } from './enter-loader.js';
import { fillPool, poolSeed } from './fill-pool.js';
import {
  type Hello,
  kinds,
  type ProgramFacts,
  pack,
  type ResetReason,
  type RunReport,
  type Slot,
  spaces,
  viewOf,
} from './messages.js';
import { isRestart } from './open-session.js';
import { PatientLine, type PatientLineOptions } from './patient-line.js';
import type { RequestOptions } from './request-line.js';
import { type Feed, type RunOptions, runProgram } from './run-program.js';
import { SessionLife, type SessionLifeOptions } from './session-life.js';
import { uploadChecked } from './upload-checked.js';

export interface BoardSessionOptions extends PatientLineOptions, Omit<SessionLifeOptions, 'name'> {}

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
  readonly #life: SessionLife;
  /** A fill under way that firmware of link version 1 answers no ping beside. */
  #deaf = false;
  #feed: Feed | undefined;
  /** Hears what the board logs. */
  onLog: (text: string) => void = () => {};
  /** Hears that the board started anew, for any cause. */
  onBoot: (reason: ResetReason) => void = () => {};

  constructor(options: BoardSessionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#requests = new PatientLine(options);
    this.#life = new SessionLife(this.#requests, { ...options, name: options.transport.name });
    this.#requests.line.onAnnouncement = (kind, payload) => this.#announced(kind, payload);
  }

  /** What the board said last about itself. Throws before the first `hello`. */
  get board(): Hello {
    return this.#life.board;
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
  ready({ signal }: Call): Promise<void> {
    return this.#life.ready(signal);
  }

  /**
   * Opens a session in any state of the board; what it still does for an earlier one ends. `bootMs`: how long the board may
   * take to start, 0 unless said.
   */
  hello({ signal, bootMs }: Call & { readonly bootMs?: number }): Promise<Hello> {
    return this.#life.hello(signal, bootMs);
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
      if (isRestart(error)) this.#life.noteRestart(error);
      throw error;
    }
  }

  async echo(bytes: Uint8Array, { signal }: Call): Promise<Uint8Array> {
    return this.#life.call(signal, () => this.#requests.ask(kinds.echo, bytes, { signal }));
  }

  /** Fills the pool unless it is filled already. Takes seconds where it lies in flash; an abort ends it. */
  async preparePool({ signal }: Call): Promise<void> {
    await this.#life.call(signal, async () => {
      if (this.board.poolSeed === poolSeed || this.board.poolBytes === 0) return;
      // Former firmware answers no ping beside it.
      this.#deaf = this.board.linkVersion < 2;
      try {
        await fillPool(this.#requests, this.board, { signal, onLeft: () => this.#life.left() });
      } finally {
        this.#deaf = false;
      }
      this.#life.know({ poolSeed });
    });
  }

  /** Fills part of the arena with the bytes of a seed; answers with their CRC-32. */
  async fill(offset: number, bytes: number, seed: number, { signal }: Call): Promise<number> {
    const payload = pack([spaces.arena, 8], [offset, 32], [bytes, 32], [seed, 32]);
    const timeoutMs = this.#requests.timeout(5000);
    return this.#life.call(signal, async () =>
      viewOf(await this.#requests.ask(kinds.fill, payload, { signal, timeoutMs })).getUint32(0, true),
    );
  }

  read(offset: number, bytes: number, { signal }: Call): Promise<Uint8Array> {
    return this.#life.call(signal, () => readArena(this.#requests, this.board, { offset, bytes, signal }));
  }

  async write(offset: number, bytes: Uint8Array, { signal }: Call): Promise<void> {
    await this.#life.call(signal, () => writeArena(this.#requests, this.board, { offset, bytes, signal }));
  }

  /** Sends a program and has it checked. */
  upload(
    slot: Slot,
    program: Uint8Array,
    options: Call & { readonly onProgress?: (sentBytes: number) => void },
  ): Promise<ProgramFacts> {
    return this.#life.call(options.signal, () =>
      uploadChecked(this.#requests, this.board, slot, program, options),
    );
  }

  /** Runs a program that was uploaded. An abort cancels it on the board and acts within a second. */
  run(options: RunOptions): Promise<RunReport> {
    return this.#life.call(options.signal, async () => {
      try {
        return await runProgram(this.#requests, this.board, options, {
          onFeed: (feed) => {
            this.#feed = feed;
          },
          onLeft: () => this.#life.left(),
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
    return this.#life.call(signal, () => readTicks(this.#requests, this.board, { operators, signal }));
  }

  /** Puts a program into the board's flash, where it survives power, and answers with its facts. */
  async deploy(
    program: Uint8Array,
    options: Call & { readonly onProgress?: (sentBytes: number) => void },
  ): Promise<ProgramFacts> {
    const { signal } = options;
    const facts = await this.upload('deployed', program, options);
    const timeoutMs = this.#requests.timeout(3000);
    await this.#life.call(signal, () =>
      this.#requests.ask(kinds.commit, pack(), { signal, timeoutMs, lasting: true }),
    );
    this.#life.know({ deployedBytes: program.length, deployedCrc: crc32(program) });
    return facts;
  }

  /** Removes the deployment. */
  async erase({ signal }: Call): Promise<void> {
    const timeoutMs = this.#requests.timeout(10_000);
    await this.#life.call(signal, () =>
      this.#requests.ask(kinds.erase, pack(), { signal, timeoutMs, lasting: true }),
    );
    this.#life.know({ deployedBytes: 0, deployedCrc: 0 });
  }

  /** Restarts the board and opens a new session with it. */
  async reset({ signal }: Call): Promise<Hello> {
    await this.ready({ signal });
    const { booted, over } = this.#life.bootAwaited();
    await this.#requests.line
      .request(kinds.reset, pack(), { signal, timeoutMs: this.#requests.timeout(500) })
      .catch(() => {});
    await Promise.race([booted, this.#clock.sleep(this.#requests.timeout(1000), { signal }).catch(() => {})]);
    over();
    return this.hello({ signal });
  }

  /** The board starts its boot loader and leaves the line. Throws STATE_CONFLICT where its firmware has no way to. */
  async enterLoader({ signal }: Call): Promise<void> {
    await this.ready({ signal });
    await enterLoader(this.#requests, signal);
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

  #announced(kind: number, payload: Uint8Array): void {
    if (kind === kinds.log) this.onLog(new TextDecoder().decode(payload));
    if (kind === kinds.boot) this.onBoot(this.#life.booted(payload));
    if (kind === kinds.want && payload.length >= 8) {
      const view = viewOf(payload);
      this.#feed?.(view.getUint32(0, true), view.getUint32(4, true));
    }
  }
}
