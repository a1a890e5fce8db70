import { crc32 } from 'node:zlib';
import { type Clock, systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import { readArena, writeArena } from './board-memory.js';
import {
  type Hello,
  kinds,
  type ProgramFacts,
  pack,
  parseProgramFacts,
  type ResetReason,
  type RunReport,
  resetReasons,
  type Slot,
  spaces,
  viewOf,
} from './messages.js';
import { attempts, PatientLine, type PatientLineOptions } from './patient-line.js';
import { readHello } from './read-hello.js';
import { NoReplyError, RefusedError, type RequestOptions } from './request-line.js';
import { type Feed, type RunOptions, runProgram } from './run-program.js';
import { upload } from './upload.js';

export interface BoardSessionOptions extends PatientLineOptions {
  /** 32 random bits, never 0: tells this session from every other. */
  readonly nonce: () => number;
}

export interface Call {
  readonly signal: AbortSignal;
}

/** The pool's seed, fixed by ABI.md. */
export const poolSeed = 0x9e3779b9;
const helloAttempts = 5;

/**
 * A conversation with one board. Calls may not overlap, but for `ping` and `cancel`. Errors: DEVICE_FAILED (no answer,
 * line gone, board restarted by itself: `details.restarted`), FIRMWARE_MISMATCH, NETWORK_REJECTED,
 * DEVICE_OUT_OF_MEMORY, DEVICE_TIMEOUT, INTERRUPTED.
 */
export class BoardSession {
  readonly #options: BoardSessionOptions;
  readonly #clock: Clock;
  readonly #requests: PatientLine;
  #hello: Hello | undefined;
  #boot: ((reason: ResetReason) => void) | undefined;
  #feed: Feed | undefined;
  /** Hears what the board logs. */
  onLog: (text: string) => void = () => {};
  /** Hears that the board started anew, whoever caused it. */
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

  /** Opens a session, whatever state the board is in. */
  async hello({ signal }: Call): Promise<Hello> {
    for (let attempt = 1; ; attempt++) {
      this.#requests.line.startSession(this.#options.nonce());
      try {
        const payload = await this.#requests.line.request(kinds.hello, pack(), {
          signal,
          timeoutMs: this.#requests.timeout(300),
        });
        this.#hello = readHello(payload);
        return this.#hello;
      } catch (thrown) {
        if (!isTransient(thrown) || attempt === helloAttempts) throw this.#requests.explain(thrown);
      }
    }
  }

  /** `running`: the operator that a run has reached; null while idle. */
  async ping({
    signal,
    timeoutMs = this.#requests.timeout(500),
  }: RequestOptions = {}): Promise<{ running: number | null }> {
    try {
      const answer = viewOf(await this.#requests.line.request(kinds.ping, pack(), { signal, timeoutMs }));
      return { running: answer.getUint8(0) === 1 ? answer.getUint16(2, true) : null };
    } catch (thrown) {
      throw this.#requests.explain(thrown);
    }
  }

  async echo(bytes: Uint8Array, { signal }: Call): Promise<Uint8Array> {
    return this.#requests.ask(kinds.echo, bytes, { signal });
  }

  /** Fills the pool unless it is filled already. Takes seconds where it lies in flash. */
  async preparePool({ signal }: Call): Promise<void> {
    const { poolBytes, poolSeed: seed } = this.board;
    if (seed === poolSeed || poolBytes === 0) return;
    await this.#requests.ask(kinds.fill, pack([spaces.pool, 8], [0, 32], [poolBytes, 32], [poolSeed, 32]), {
      signal,
      timeoutMs: this.#requests.timeout(30_000),
    });
    this.#hello = { ...this.board, poolSeed };
  }

  /** Fills part of the arena with the bytes of a seed; answers with their CRC-32. */
  async fill(offset: number, bytes: number, seed: number, { signal }: Call): Promise<number> {
    const payload = pack([spaces.arena, 8], [offset, 32], [bytes, 32], [seed, 32]);
    return viewOf(
      await this.#requests.ask(kinds.fill, payload, { signal, timeoutMs: this.#requests.timeout(5000) }),
    ).getUint32(0, true);
  }

  read(offset: number, bytes: number, { signal }: Call): Promise<Uint8Array> {
    return readArena(this.#requests, this.board, { offset, bytes, signal });
  }

  async write(offset: number, bytes: Uint8Array, { signal }: Call): Promise<void> {
    await writeArena(this.#requests, this.board, { offset, bytes, signal });
  }

  /** Sends a program and has it checked. */
  async upload(
    slot: Slot,
    program: Uint8Array,
    { signal, onProgress }: Call & { readonly onProgress?: (sentBytes: number) => void },
  ): Promise<ProgramFacts> {
    for (let attempt = 1; ; attempt++) {
      try {
        const timeoutMs = this.#requests.timeout(slot === 'ram' ? 500 : 4000, this.board.windowBytes);
        const chunkBytes = Math.min(1024, this.board.maxPayloadBytes - 4);
        await upload(this.#requests.line, slot, program, { signal, chunkBytes, timeoutMs, onProgress });
        return parseProgramFacts(
          await this.#requests.line.request(kinds.finish, pack(), {
            signal,
            timeoutMs: this.#requests.timeout(3000),
          }),
        );
      } catch (thrown) {
        const damaged = thrown instanceof RefusedError && thrown.details.refusal === 'checksum';
        if (!(damaged || thrown instanceof NoReplyError) || attempt === attempts)
          throw this.#requests.explain(thrown);
      }
    }
  }

  /** Runs a program that was uploaded. An abort cancels it on the board. */
  async run(options: RunOptions): Promise<RunReport> {
    try {
      return await runProgram(this.#requests, this.board, options, (feed) => {
        this.#feed = feed;
      });
    } finally {
      this.#feed = undefined;
    }
  }

  /** Ticks of each operator record of the last run, by index; 0 for members of a group, which counts as one. */
  async ticks(operators: number, { signal }: Call): Promise<number[]> {
    const all: number[] = [];
    const chunk = Math.floor(this.board.maxPayloadBytes / 4);
    while (all.length < operators) {
      const count = Math.min(chunk, operators - all.length);
      const answer = viewOf(
        await this.#requests.ask(kinds.ticks, pack([all.length, 16], [count, 16]), {
          signal,
          timeoutMs: this.#requests.timeout(300, 4 * count),
        }),
      );
      for (let i = 0; i < count; i++) all.push(answer.getUint32(4 * i, true));
    }
    return all;
  }

  /** Puts a program into the board's flash, where it survives power, and answers with its facts. */
  async deploy(
    program: Uint8Array,
    options: Call & { readonly onProgress?: (sentBytes: number) => void },
  ): Promise<ProgramFacts> {
    const facts = await this.upload('deployed', program, options);
    await this.#requests.ask(kinds.commit, pack(), {
      signal: options.signal,
      timeoutMs: this.#requests.timeout(3000),
    });
    this.#hello = { ...this.board, deployedBytes: program.length, deployedCrc: crc32(program) };
    return facts;
  }

  /** Removes the deployment. */
  async erase({ signal }: Call): Promise<void> {
    await this.#requests.ask(kinds.erase, pack(), { signal, timeoutMs: this.#requests.timeout(10_000) });
    this.#hello = { ...this.board, deployedBytes: 0, deployedCrc: 0 };
  }

  /** Restarts the board and opens a new session with it. */
  async reset({ signal }: Call): Promise<Hello> {
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
    if (kind === kinds.boot) {
      const reason = resetReasons[payload[0] ?? -1] ?? 'unknown';
      this.onBoot(reason);
      // What was under way will never be answered; the reset that was asked for is no news.
      if (this.#boot) this.#boot(reason);
      else this.#requests.line.startSession(0, restarted(this.#options.transport.name, reason));
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

/** No answer, or the board came up meanwhile: hello is worth another try. */
const isTransient = (thrown: unknown): boolean =>
  thrown instanceof NoReplyError || (thrown instanceof HildaError && thrown.details.restarted === true);
