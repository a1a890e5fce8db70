import type { Graph } from '../network/graph.js';
import { unpackGraph } from '../network/graph-message.js';
import { keepSource, keepTflite } from '../network/model-source.js';
import { type ReadingOptions, ReadingProcess } from './reading-process.js';

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
      const { graph, source, tflite } = await this.#process.handed(bytes, (model) =>
        ask({ op: 'model', model }),
      );
      const read = unpackGraph(graph);
      if (source) keepSource(read, source === 'given' ? bytes : source);
      if (tflite) keepTflite(read, tflite === 'given' ? bytes : tflite);
      return read;
    });
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }
}
