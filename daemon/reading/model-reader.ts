import { randomUUID } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../core/clock.js';
import { asHildaError, HildaError } from '../core/errors.js';
import type { Graph } from '../network/graph.js';
import { unpackGraph } from '../network/graph-message.js';
import { keepSource, keepTflite } from '../network/model-source.js';
import { ChildChannel } from '../runtime/child-channel.js';
import type { ReadingConversation } from './messages.js';

export interface ModelReaderOptions {
  readonly clock: Clock;
  /** Where large files lie while they are read; one of its own, emptied at first. By default in the system's. */
  readonly folder?: string;
  /** For one file; 60 s by default. */
  readonly timeoutMs?: number;
  /** Of the child's JavaScript objects; 1 GiB by default. Its whole address space has 8 GiB, which node reserves most of. */
  readonly heapBytes?: number;
  /** Files that may wait for their turn; 64 by default. */
  readonly mostWaiting?: number;
}

const childPath = fileURLToPath(new URL('./reader-child.js', import.meta.url));
const addressSpaceBytes = 8 * 2 ** 30;
/** A child that read nothing for this long ends. */
const idleMs = 30_000;
/** A child that read a file of this size ends at once, and gives its memory back. */
const largeBytes = 32 * 2 ** 20;
/** Files of this size and more are handed over by path. */
const byPathBytes = 2 ** 20;

/** The child's ends that say no more than that the file was too much for it. */
const exhausted = new Set(['DEVICE_OUT_OF_MEMORY', 'DEVICE_FAILED', 'DEVICE_TIMEOUT', 'FAILURE_UNEXPLAINED']);

/**
 * Decodes and checks models in a child process of bounded memory and time, one after another: for every file the
 * daemon goes on answering. The child starts with the first file, and anew after one that ended it.
 */
export class ModelReader {
  readonly #options: Required<ModelReaderOptions>;
  /** Resolves when the folder is there, and empty. */
  #folder: Promise<unknown> | undefined;
  readonly #life = new AbortController();
  #channel: ChildChannel<ReadingConversation> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #uses = 0;

  constructor(options: ModelReaderOptions) {
    const folder = join(tmpdir(), `hilda-reading-${randomUUID()}`);
    const all = { folder, timeoutMs: 60_000, heapBytes: 2 ** 30, mostWaiting: 64, ...options };
    // The child runs in a folder of its own.
    this.#options = { ...all, folder: resolve(all.folder) };
  }

  /**
   * Throws what `readModel` and `checkNetworkLimits` throw, NETWORK_TOO_LARGE for a file that takes the child's memory or time
   * up, REQUESTS_LIMITED where too many files wait, INTERRUPTED after `stop`.
   */
  async read(bytes: Uint8Array): Promise<Graph> {
    const { mostWaiting } = this.#options;
    if (this.#waiting >= mostWaiting)
      throw new HildaError('REQUESTS_LIMITED', `${mostWaiting} models wait to be read`, {
        details: { retryAfterS: 5 },
      });
    this.#waiting++;
    const turn = this.#turn.then(() => this.#read(bytes));
    this.#turn = turn.catch(() => {});
    try {
      return await turn;
    } finally {
      this.#waiting--;
    }
  }

  async stop(): Promise<void> {
    this.#life.abort();
    await this.#end();
    if (this.#folder) await rm(this.#options.folder, { recursive: true, force: true }).catch(() => {});
  }

  /** Gives a file's content to `read`, large ones by path. Throws what it throws. */
  async #handed<T>(bytes: Uint8Array, read: (model: Uint8Array | string) => Promise<T>): Promise<T> {
    if (bytes.byteLength < byPathBytes) return read(bytes);
    const { folder } = this.#options;
    const path = join(folder, randomUUID());
    // What an earlier life left there is of no use to anybody.
    this.#folder ??= rm(folder, { recursive: true, force: true }).then(() =>
      mkdir(folder, { recursive: true, mode: 0o700 }),
    );
    try {
      await this.#folder;
      await writeFile(path, bytes, { mode: 0o600, flag: 'wx' });
    } catch {
      // A disk that is full does not keep a model from being read.
      await rm(path, { force: true }).catch(() => {});
      return read(bytes);
    }
    try {
      return await read(path);
    } finally {
      await rm(path, { force: true }).catch(() => {});
    }
  }

  async #read(bytes: Uint8Array): Promise<Graph> {
    const { timeoutMs } = this.#options;
    const { signal } = this.#life;
    if (signal.aborted) throw new HildaError('INTERRUPTED', 'the daemon is stopping');
    this.#channel ??= await this.#open();
    const channel = this.#channel;
    this.#uses++;
    try {
      const { graph, source, tflite } = await this.#handed(bytes, (model) =>
        channel.call({ op: 'model', model }, { signal, timeoutMs }),
      );
      const read = unpackGraph(graph);
      if (source) keepSource(read, source === 'given' ? bytes : source);
      if (tflite) keepTflite(read, tflite === 'given' ? bytes : tflite);
      return read;
    } catch (thrown) {
      throw this.#asFault(asHildaError(thrown), bytes.byteLength);
    } finally {
      if (bytes.byteLength >= largeBytes) await this.#end();
      else void this.#endWhenIdle(this.#uses);
    }
  }

  #asFault(error: HildaError, bytes: number): HildaError {
    if (!exhausted.has(error.code)) return error;
    const { timeoutMs, heapBytes } = this.#options;
    return new HildaError(
      'NETWORK_TOO_LARGE',
      `the file of ${bytes} bytes took more than ${timeoutMs} ms or ${heapBytes} bytes to read`,
      { cause: error, details: { timeoutMs, heapBytes } },
    );
  }

  #open(): Promise<ChildChannel<ReadingConversation>> {
    const { clock, heapBytes } = this.#options;
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

  async #endWhenIdle(uses: number): Promise<void> {
    await this.#options.clock.sleep(idleMs, { signal: this.#life.signal }).catch(() => {});
    if (this.#uses === uses) await this.#end();
  }

  async #end(): Promise<void> {
    const channel = this.#channel;
    this.#channel = undefined;
    channel?.end(new HildaError('INTERRUPTED', 'the reader ends'));
    await channel?.exited;
  }
}
