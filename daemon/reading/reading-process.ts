import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../core/clock.js';
import { asHildaError, type ErrorCode, HildaError } from '../core/errors.js';
import { ChildChannel } from '../runtime/child-channel.js';
import type { Given, ReadingConversation, ReadRequest } from './messages.js';

export interface ReadingOptions {
  readonly clock: Clock;
  /** Where large files and arrays lie on their way; one of its own, emptied at first. By default in the system's. */
  readonly folder?: string;
  /** For one file; 60 s by default. */
  readonly timeoutMs?: number;
  /** Of the child's JavaScript objects; 1 GiB by default. */
  readonly heapBytes?: number;
  /** Of everything in the child, of which node reserves several GiB; 8 GiB by default. */
  readonly addressSpaceBytes?: number;
  /** Files that may wait for their turn; 64 by default. */
  readonly mostWaiting?: number;
}

interface Reading {
  /** Of the file; a child that read a large one ends at once, and gives its memory back. */
  readonly bytes: number;
  /** What a file that takes the child's memory or time up is refused with. */
  readonly code: ErrorCode;
}

const childPath = fileURLToPath(new URL('./reader-child.js', import.meta.url));
/** A child that read nothing for this long ends. */
const idleMs = 30_000;
const largeBytes = 32 * 2 ** 20;
/** Files of this size and more are handed over by path. */
const byPathBytes = 2 ** 20;

/** The child's ends that say no more than that the file was too much for it. */
const exhausted = new Set(['DEVICE_OUT_OF_MEMORY', 'DEVICE_FAILED', 'DEVICE_TIMEOUT', 'FAILURE_UNEXPLAINED']);

type Answer<R extends ReadRequest> = ReadingConversation['answers'][R['op']];

/**
 * Decodes other people's files in a child process of bounded memory and time, one after another: for every file the
 * daemon goes on answering. The child starts with the first file, and anew after one that ended it.
 */
export class ReadingProcess {
  readonly folder: string;
  readonly #options: Required<Omit<ReadingOptions, 'folder'>>;
  /** Resolves when the folder is there, and empty. */
  #made: Promise<unknown> | undefined;
  readonly #life = new AbortController();
  #channel: ChildChannel<ReadingConversation> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #watching: Promise<void> | undefined;
  #uses = 0;

  constructor({ folder, ...options }: ReadingOptions) {
    // The child runs in a folder of its own.
    this.folder = resolve(folder ?? join(tmpdir(), `hilda-reading-${randomUUID()}`));
    this.#options = {
      timeoutMs: 60_000,
      heapBytes: 2 ** 30,
      addressSpaceBytes: 8 * 2 ** 30,
      mostWaiting: 64,
      ...options,
    };
  }

  /**
   * Calls `work` when its turn has come. Throws what it throws, REQUESTS_LIMITED where too many files wait, INTERRUPTED after
   * `stop`.
   */
  async inTurn<T>(
    reading: Reading,
    work: (ask: <R extends ReadRequest>(request: R) => Promise<Answer<R>>) => Promise<T>,
  ): Promise<T> {
    const { mostWaiting } = this.#options;
    if (this.#waiting >= mostWaiting)
      throw new HildaError('REQUESTS_LIMITED', `${mostWaiting} files wait to be read`, {
        details: { retryAfterS: 5 },
      });
    this.#waiting++;
    const turn = this.#turn.then(() => this.#read(reading, work));
    this.#turn = turn.catch(() => {});
    try {
      return await turn;
    } finally {
      this.#waiting--;
    }
  }

  /** The folder, once it is there: what an earlier life left in it is of no use to anybody. */
  async made(): Promise<string> {
    const { folder } = this;
    this.#made ??= rm(folder, { recursive: true, force: true }).then(() =>
      mkdir(folder, { recursive: true, mode: 0o700 }),
    );
    await this.#made;
    return folder;
  }

  /** Gives a file's content to `read`, large ones by path. Throws what it throws. */
  async handed<T>(bytes: Uint8Array, read: (given: Given) => Promise<T>): Promise<T> {
    if (bytes.byteLength < byPathBytes) return read(bytes);
    const path = join(this.folder, randomUUID());
    try {
      await this.made();
      await writeFile(path, bytes, { mode: 0o600, flag: 'wx' });
    } catch {
      // A disk that is full does not keep a file from being read.
      await rm(path, { force: true }).catch(() => {});
      return read(bytes);
    }
    try {
      return await read(path);
    } finally {
      await rm(path, { force: true }).catch(() => {});
    }
  }

  async stop(): Promise<void> {
    this.#life.abort();
    await this.#end();
    if (this.#made) await rm(this.folder, { recursive: true, force: true }).catch(() => {});
  }

  async #read<T>(
    reading: Reading,
    work: (ask: <R extends ReadRequest>(request: R) => Promise<Answer<R>>) => Promise<T>,
  ): Promise<T> {
    const { timeoutMs } = this.#options;
    const { signal } = this.#life;
    for (let tries = 1; ; tries++) {
      if (signal.aborted) throw new HildaError('INTERRUPTED', 'the daemon is stopping');
      this.#channel ??= await this.#open();
      const channel = this.#channel;
      this.#uses++;
      try {
        return await work((request) => channel.call(request as never, { signal, timeoutMs }) as never);
      } catch (thrown) {
        const error = asHildaError(thrown);
        const isOver = error.code === 'DEVICE_TIMEOUT' || !exhausted.has(error.code);
        // That it was killed once says nothing of the file: the system may be short of memory.
        if (isOver || !channel.wasKilled || tries > 1) throw this.#asFault(error, reading);
      } finally {
        await this.#afterUse(reading);
      }
    }
  }

  async #afterUse({ bytes }: Reading): Promise<void> {
    if (bytes >= largeBytes) return this.#end();
    this.#watching ??= this.#endWhenIdle().finally(() => {
      this.#watching = undefined;
    });
  }

  #asFault(error: HildaError, { bytes, code }: Reading): HildaError {
    if (!exhausted.has(error.code)) return error;
    const { timeoutMs, heapBytes } = this.#options;
    const size = bytes > 0 ? ` of ${bytes} bytes` : '';
    return new HildaError(
      code,
      `the file${size} took more than ${timeoutMs} ms or ${heapBytes} bytes to read`,
      { cause: error, details: { timeoutMs, heapBytes } },
    );
  }

  #open(): Promise<ChildChannel<ReadingConversation>> {
    const { clock, heapBytes, addressSpaceBytes } = this.#options;
    return ChildChannel.open<ReadingConversation>({
      program: childPath,
      name: 'reader',
      nodeOptions: [`--max-old-space-size=${Math.ceil(heapBytes / 2 ** 20)}`],
      memoryLimitBytes: addressSpaceBytes,
      cpu: null,
      environment: {},
      clock,
      onEnd: () => {
        this.#channel = undefined;
      },
    });
  }

  /** One timer for all that is read meanwhile. */
  async #endWhenIdle(): Promise<void> {
    const { signal } = this.#life;
    for (let seen = -1; (this.#waiting > 0 || seen !== this.#uses) && !signal.aborted; ) {
      seen = this.#uses;
      await this.#options.clock.sleep(idleMs, { signal }).catch(() => {});
    }
    await this.#end();
  }

  async #end(): Promise<void> {
    const channel = this.#channel;
    this.#channel = undefined;
    channel?.end(new HildaError('INTERRUPTED', 'the reader ends'));
    await channel?.exited;
  }
}
