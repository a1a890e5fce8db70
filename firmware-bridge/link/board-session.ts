import { crc32 } from 'node:zlib';
import { type Clock, systemClock } from '../../daemon/core/clock.js';
import { HildaError } from '../../daemon/core/errors.js';
import { abi } from '../compiler/encode/format.js';
import { explainRefusal } from './explain-refusal.js';
import { linkVersion } from './frames.js';
import {
  type Hello,
  kinds,
  type ProgramFacts,
  pack,
  parseHello,
  parseProgramFacts,
  parseRunReport,
  type ResetReason,
  type RunReport,
  resetReasons,
  type Slot,
  slots,
  spaces,
  viewOf,
} from './messages.js';
import { NoReplyError, RefusedError, RequestLine, type RequestOptions } from './request-line.js';
import type { Transport } from './transports/transport.js';
import { upload } from './upload.js';

export interface BoardSessionOptions {
  readonly transport: Transport;
  readonly clock?: Clock;
  /** 32 random bits, never 0: tells this session from every other. */
  readonly nonce: () => number;
  /** Of the line; only to judge how long an answer may take. Emulators without a line's pace leave it out. */
  readonly baud?: number | undefined;
  /** A multiple of every time-out, for emulators that run slower than boards. */
  readonly patience?: number;
}

export interface Call {
  readonly signal: AbortSignal;
}

export interface RunOptions extends Call {
  readonly slot: Slot;
  /** Fills arena and stack with this byte first and reports how far they were used. */
  readonly paint?: number;
  /** The network's input, when the program fetches it in slices; absent: slices of the pool. */
  readonly input?: Uint8Array | undefined;
  /** The board gives up by itself after this much of its own time. */
  readonly limitMs: number;
  /** How long to wait for the board's answer. */
  readonly timeoutMs: number;
}

/** The pool's seed, fixed by ABI.md. */
export const poolSeed = 0x9e3779b9;
const flags = { paint: 1, poolInput: 2 } as const;
const helloAttempts = 5;
const attempts = 3;

/**
 * A conversation with one board. Calls may not overlap, but for `ping` and `cancel`. Errors: DEVICE_FAILED (no answer,
 * line gone, board restarted by itself: `details.restarted`), FIRMWARE_MISMATCH, NETWORK_REJECTED,
 * DEVICE_OUT_OF_MEMORY, DEVICE_TIMEOUT, INTERRUPTED.
 */
export class BoardSession {
  readonly #options: BoardSessionOptions;
  readonly #clock: Clock;
  readonly #line: RequestLine;
  #hello: Hello | undefined;
  #boot: ((reason: ResetReason) => void) | undefined;
  #feed: ((offset: number, bytes: number) => void) | undefined;
  /** Hears what the board logs. */
  onLog: (text: string) => void = () => {};
  /** Hears that the board started anew, whoever caused it. */
  onBoot: (reason: ResetReason) => void = () => {};

  constructor(options: BoardSessionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#line = new RequestLine(options.transport, this.#clock);
    this.#line.onAnnouncement = (kind, payload) => this.#announced(kind, payload);
  }

  /** What the board said of itself last. Throws before the first `hello`. */
  get board(): Hello {
    if (!this.#hello) throw new HildaError('DEVICE_FAILED', 'the board has not said hello yet');
    return this.#hello;
  }

  get droppedFrames(): number {
    return this.#line.droppedFrames;
  }

  /** Why the line is gone, once it is. */
  get lost(): HildaError | undefined {
    return this.#line.lost;
  }

  /** Opens a session, whatever state the board is in. */
  async hello({ signal }: Call): Promise<Hello> {
    for (let attempt = 1; ; attempt++) {
      this.#line.startSession(this.#options.nonce());
      try {
        const payload = await this.#line.request(kinds.hello, pack(), {
          signal,
          timeoutMs: this.#timeout(300),
        });
        this.#hello = readHello(payload);
        return this.#hello;
      } catch (thrown) {
        if (!isTransient(thrown) || attempt === helloAttempts) throw this.#explain(thrown);
      }
    }
  }

  /** `running`: the operator that a run has reached; null while idle. */
  async ping({
    signal,
    timeoutMs = this.#timeout(500),
  }: RequestOptions = {}): Promise<{ running: number | null }> {
    try {
      const answer = viewOf(await this.#line.request(kinds.ping, pack(), { signal, timeoutMs }));
      return { running: answer.getUint8(0) === 1 ? answer.getUint16(2, true) : null };
    } catch (thrown) {
      throw this.#explain(thrown);
    }
  }

  async echo(bytes: Uint8Array, { signal }: Call): Promise<Uint8Array> {
    return this.#ask(kinds.echo, bytes, { signal });
  }

  /** Fills the pool unless it is filled already. Takes seconds where it lies in flash. */
  async preparePool({ signal }: Call): Promise<void> {
    const { poolBytes, poolSeed: seed } = this.board;
    if (seed === poolSeed || poolBytes === 0) return;
    await this.#ask(kinds.fill, pack([spaces.pool, 8], [0, 32], [poolBytes, 32], [poolSeed, 32]), {
      signal,
      timeoutMs: this.#timeout(30_000),
    });
    this.#hello = { ...this.board, poolSeed };
  }

  /** Fills part of the arena with the bytes of a seed; answers with their CRC-32. */
  async fill(offset: number, bytes: number, seed: number, { signal }: Call): Promise<number> {
    const payload = pack([spaces.arena, 8], [offset, 32], [bytes, 32], [seed, 32]);
    return viewOf(await this.#ask(kinds.fill, payload, { signal, timeoutMs: this.#timeout(5000) })).getUint32(
      0,
      true,
    );
  }

  async read(offset: number, bytes: number, { signal }: Call): Promise<Uint8Array> {
    const out = new Uint8Array(bytes);
    const chunk = this.board.maxPayloadBytes;
    for (let at = 0; at < bytes; at += chunk) {
      const count = Math.min(chunk, bytes - at);
      const payload = pack([spaces.arena, 8], [offset + at, 32], [count, 16]);
      out.set(await this.#ask(kinds.read, payload, { signal, timeoutMs: this.#timeout(300, count) }), at);
    }
    return out;
  }

  async write(offset: number, bytes: Uint8Array, { signal }: Call): Promise<void> {
    await this.#write(spaces.arena, offset, bytes, signal);
  }

  /** Sends a program and has it checked. */
  async upload(
    slot: Slot,
    program: Uint8Array,
    { signal, onProgress }: Call & { readonly onProgress?: (sentBytes: number) => void },
  ): Promise<ProgramFacts> {
    for (let attempt = 1; ; attempt++) {
      try {
        const timeoutMs = this.#timeout(slot === 'ram' ? 500 : 4000, this.board.windowBytes);
        const chunkBytes = Math.min(1024, this.board.maxPayloadBytes - 4);
        await upload(this.#line, slot, program, { signal, chunkBytes, timeoutMs, onProgress });
        return parseProgramFacts(
          await this.#line.request(kinds.finish, pack(), { signal, timeoutMs: this.#timeout(3000) }),
        );
      } catch (thrown) {
        const damaged = thrown instanceof RefusedError && thrown.details.refusal === 'checksum';
        if (!(damaged || thrown instanceof NoReplyError) || attempt === attempts) throw this.#explain(thrown);
      }
    }
  }

  /** Runs a program that was uploaded. An abort cancels it on the board. */
  async run({ slot, paint, input, limitMs, timeoutMs, signal }: RunOptions): Promise<RunReport> {
    signal.throwIfAborted();
    const bits = (paint === undefined ? 0 : flags.paint) | (input ? 0 : flags.poolInput);
    const needsPool = bits & flags.poolInput && this.board.poolSeed === 0 ? bits & ~flags.poolInput : bits;
    const payload = pack([slots[slot], 8], [needsPool, 8], [paint ?? 0, 8], [0, 8], [limitMs, 32]);
    const cancel = (): void => void this.#line.request(kinds.cancel, pack()).catch(() => {});
    signal.addEventListener('abort', cancel, { once: true });
    let wants = 0;
    this.#feed = (offset, bytes) => {
      const want = ++wants;
      const slice = (input ?? new Uint8Array(offset + bytes)).subarray(offset, offset + bytes);
      // What it is not told the board asks for again, and gives up after a while: that is the run's own error.
      this.#sendSlice(offset, slice, () => want === wants && !signal.aborted).catch(() => {});
    };
    try {
      // Not the signal: the board's own answer to the cancel is waited for, so that it is idle afterwards.
      return parseRunReport(
        await this.#line.request(kinds.run, payload, { timeoutMs: timeoutMs * this.#patience }),
      );
    } catch (thrown) {
      if (signal.aborted) throw signal.reason ?? thrown;
      if (thrown instanceof NoReplyError) {
        throw new HildaError(
          'DEVICE_TIMEOUT',
          `the board did not finish the network within ${timeoutMs} ms`,
          {
            cause: thrown,
            details: { unanswered: true },
          },
        );
      }
      throw this.#explain(thrown);
    } finally {
      signal.removeEventListener('abort', cancel);
      wants++;
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
        await this.#ask(kinds.ticks, pack([all.length, 16], [count, 16]), {
          signal,
          timeoutMs: this.#timeout(300, 4 * count),
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
    await this.#ask(kinds.commit, pack(), { signal: options.signal, timeoutMs: this.#timeout(3000) });
    this.#hello = { ...this.board, deployedBytes: program.length, deployedCrc: crc32(program) };
    return facts;
  }

  /** Removes the deployment. */
  async erase({ signal }: Call): Promise<void> {
    await this.#ask(kinds.erase, pack(), { signal, timeoutMs: this.#timeout(10_000) });
    this.#hello = { ...this.board, deployedBytes: 0, deployedCrc: 0 };
  }

  /** Restarts the board and opens a new session with it. */
  async reset({ signal }: Call): Promise<Hello> {
    const booted = new Promise<void>((resolve) => {
      this.#boot = () => resolve();
    });
    await this.#line.request(kinds.reset, pack(), { signal, timeoutMs: this.#timeout(500) }).catch(() => {});
    await Promise.race([booted, this.#clock.sleep(this.#timeout(1000), { signal }).catch(() => {})]);
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
    this.#line.startSession(0, reason);
    await transport.restart();
    return this.hello({ signal });
  }

  /** Ends every call under way with this error, and all later ones: the board is given up. */
  fail(error: HildaError): void {
    this.#line.fail(error);
  }

  async close(): Promise<void> {
    this.#line.fail(new HildaError('DEVICE_FAILED', 'the session was closed'));
    await this.#options.transport.close();
  }

  async #write(space: number, offset: number, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const chunk = this.board.maxPayloadBytes - 5;
    for (let at = 0; at < bytes.length; at += chunk) {
      const part = bytes.subarray(at, at + chunk);
      const payload = pack([space, 8], [offset + at, 32], part);
      await this.#ask(kinds.write, payload, { signal, timeoutMs: this.#timeout(300, part.length) });
    }
  }

  /** A slice of the input, until the board wants another one. A part whose reply was lost is refused when it comes again. */
  async #sendSlice(offset: number, slice: Uint8Array, wanted: () => boolean): Promise<void> {
    const chunk = this.board.maxPayloadBytes - 5;
    for (let at = 0; at < slice.length && wanted(); ) {
      const part = slice.subarray(at, at + chunk);
      const payload = pack([spaces.input, 8], [offset + at, 32], part);
      try {
        await this.#line.request(kinds.write, payload, { timeoutMs: this.#timeout(300, part.length) });
        at += part.length;
      } catch (thrown) {
        if (thrown instanceof NoReplyError) continue;
        const next = expectedOffset(thrown) - offset;
        if (!(next > at && next < slice.length)) throw thrown;
        at = next;
      }
    }
  }

  /** Asks again when no reply came: every request may be repeated without harm. */
  async #ask(kind: number, payload: Uint8Array, options: RequestOptions): Promise<Uint8Array> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#line.request(kind, payload, {
          ...options,
          timeoutMs: options.timeoutMs ?? this.#timeout(300, payload.length),
        });
      } catch (thrown) {
        if (!(thrown instanceof NoReplyError) || attempt === attempts) throw this.#explain(thrown);
      }
    }
  }

  get #patience(): number {
    return this.#options.patience ?? 1;
  }

  /** The board's own time and the line's for that many bytes both ways. */
  #timeout(ms: number, bytes = 0): number {
    const lineMs = this.#options.baud ? (2 * 1000 * 10 * (bytes + 64)) / this.#options.baud : 0;
    return (ms + lineMs) * this.#patience;
  }

  #announced(kind: number, payload: Uint8Array): void {
    if (kind === kinds.log) this.onLog(new TextDecoder().decode(payload));
    if (kind === kinds.boot) {
      const reason = resetReasons[payload[0] ?? -1] ?? 'unknown';
      this.onBoot(reason);
      // What was under way will never be answered; the reset that was asked for is no news.
      if (this.#boot) this.#boot(reason);
      else this.#line.startSession(0, restarted(this.#options.transport.name, reason));
    }
    if (kind === kinds.want && payload.length >= 8) {
      const view = viewOf(payload);
      this.#feed?.(view.getUint32(0, true), view.getUint32(4, true));
    }
  }

  #explain(thrown: unknown): unknown {
    if (thrown instanceof RefusedError) return explainRefusal(thrown, this.#options.transport.name);
    if (!(thrown instanceof NoReplyError)) return thrown;
    return new HildaError('DEVICE_FAILED', `the board at ${this.#options.transport.name} does not answer`, {
      cause: thrown,
      hint: 'Is it flashed (`hilda devices flash`), and is the baud rate that of its profile? `hilda doctor` looks.',
      details: { unanswered: true },
    });
  }
}

const restarted = (board: string, reason: ResetReason): HildaError =>
  new HildaError('DEVICE_FAILED', `the board at ${board} restarted by itself: ${reason}`, {
    details: { restarted: true, reason },
  });

/** Where the board goes on, when it was sent something else. */
const expectedOffset = (thrown: unknown): number =>
  thrown instanceof RefusedError && thrown.details.refusal === 'order' ? thrown.details.detail : Number.NaN;

/** No answer, or the board came up meanwhile: hello is worth another try. */
const isTransient = (thrown: unknown): boolean =>
  thrown instanceof NoReplyError || (thrown instanceof HildaError && thrown.details.restarted === true);

function readHello(payload: Uint8Array): Hello {
  try {
    const hello = parseHello(payload);
    const versions = { link: hello.linkVersion, abi: hello.abi };
    if (versions.link === linkVersion && versions.abi === abi) return hello;
    const older = versions.link < linkVersion || versions.abi < abi;
    throw new HildaError(
      'FIRMWARE_MISMATCH',
      `the firmware of ${hello.board || 'the board'} speaks version ${versions.link} of the link and takes programs of ABI ${versions.abi}; this daemon has ${linkVersion} and ${abi}`,
      {
        hint: older
          ? 'Flash the board again: `hilda devices flash` has the firmware of this version.'
          : 'The board was flashed by a newer hilda: bring this one up to date, or flash the board again.',
        details: { board: hello.board, buildHash: hello.buildHash, ...versions },
      },
    );
  } catch (cause) {
    if (cause instanceof HildaError) throw cause;
    throw new HildaError('FIRMWARE_MISMATCH', 'the board answers hello with something else', { cause });
  }
}
