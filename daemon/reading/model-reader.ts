import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Graph } from '../network/graph.js';
import { unpackGraph } from '../network/graph-message.js';
import { keepSource, keepTflite } from '../network/model-source.js';
import { type ReadingOptions, ReadingProcess } from './reading-process.js';

/** Files of this size and more are handed over by path. */
const byPathBytes = 2 ** 20;

/** Decodes and checks models in a child process. */
export class ModelReader {
  readonly #process: ReadingProcess;

  constructor(options: ReadingOptions) {
    this.#process = new ReadingProcess(options);
  }

  /**
   * Throws what `readModel` and `checkNetworkLimits` throw, NETWORK_TOO_LARGE for a file that takes the child's memory or time
   * up, REQUESTS_LIMITED where too many files wait, INTERRUPTED after `stop`.
   */
  read(bytes: Uint8Array): Promise<Graph> {
    return this.#process.inTurn({ bytes: bytes.byteLength, code: 'NETWORK_TOO_LARGE' }, async (ask) => {
      const { graph, source, tflite } = await this.#handed(bytes, (model) => ask({ op: 'model', model }));
      const read = unpackGraph(graph);
      if (source) keepSource(read, source === 'given' ? bytes : source);
      if (tflite) keepTflite(read, tflite === 'given' ? bytes : tflite);
      return read;
    });
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }

  /** Gives a file's content to `read`, large ones by path. Throws what it throws. */
  async #handed<T>(bytes: Uint8Array, read: (model: Uint8Array | string) => Promise<T>): Promise<T> {
    if (bytes.byteLength < byPathBytes) return read(bytes);
    const path = join(this.#process.folder, randomUUID());
    try {
      await this.#process.made();
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
}
