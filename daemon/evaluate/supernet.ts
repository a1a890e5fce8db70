import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Architecture } from '../core/architecture.js';
import { HildaError } from '../core/errors.js';
import type { Graph } from '../network/graph.js';
import { withBatch } from '../network/with-batch.js';
import { writeOnnx } from '../network/write-onnx.js';
import { SessionProcess } from '../runtime/session-process.js';
import type { Space, WeightSource } from '../search/spaces/contract.js';
import { type LabelledImages, readIdxImages, sliceImages } from '../train/idx-images.js';
import { readSafetensors } from '../train/weights/safetensors.js';
import { SharedWeights } from '../train/weights/shared-weights.js';
import type { Evaluator, Quality } from './contract.js';
import { recalibrate } from './recalibrate.js';

export interface SupernetOptions {
  readonly space: Space;
  readonly weights: WeightSource;
  readonly calibration: LabelledImages;
  readonly validation: LabelledImages;
  /** e.g. `Fashion-MNIST validation`. */
  readonly source: string;
  /** Images an inference. */
  readonly batch?: number;
}

/** Scores sub-networks cut out of a super-network on a fixed set of images, in a runtime process of its own. */
export class SupernetEvaluator implements Evaluator {
  readonly metrics = ['accuracy'];
  readonly cost = 'cheap';
  readonly #options: SupernetOptions;
  readonly #runtime = new SessionProcess();

  constructor(options: SupernetOptions) {
    this.#options = options;
  }

  /** The sub-network with its weights, its batch statistics recalibrated on training images. */
  async network(architecture: Architecture, options: { readonly signal: AbortSignal }): Promise<Graph> {
    const { space, weights, calibration } = this.#options;
    return recalibrate(space.network(architecture, weights), calibration, this.#runtime, options);
  }

  async evaluate(architecture: Architecture, options: { readonly signal: AbortSignal }): Promise<Quality> {
    const { validation, source } = this.#options;
    const right = await this.#countRight(await this.network(architecture, options), validation, options);
    return {
      values: { accuracy: right / validation.count },
      source: `${source}, ${validation.count} images`,
    };
  }

  close(): Promise<void> {
    return this.#runtime.stop();
  }

  async #countRight(
    graph: Graph,
    images: LabelledImages,
    options: { readonly signal: AbortSignal },
  ): Promise<number> {
    const batch = Math.min(this.#options.batch ?? 250, images.count);
    const { handle } = await this.#runtime.load(
      writeOnnx(withBatch(graph, batch)),
      { arena: false },
      options,
    );
    const [input, output] = [graph.inputs[0]?.name as string, graph.outputs[0]?.name as string];
    let right = 0;
    for (let from = 0; from < images.count; from += batch) {
      // The last batch is moved back to be full; images already counted are skipped.
      const start = Math.min(from, images.count - batch);
      const part = sliceImages(images, start, batch);
      const dims = [batch, 1, images.height, images.width];
      const answer = await this.#runtime.run(
        handle,
        { [input]: { type: 'float32', dims, data: part.pixels } },
        { fetch: [output] },
        options,
      );
      const logits = answer[output]?.data as Float32Array;
      const classes = logits.length / batch;
      for (let i = from - start; i < batch; i++) {
        const row = logits.subarray(i * classes, (i + 1) * classes);
        if (row.indexOf(Math.max(...row)) === part.labels[i]) right++;
      }
    }
    await this.#runtime.release(handle, options);
    return right;
  }
}

/** The super-network and images shipped for a space. Throws SUPERNET_INVALID, DATASET_MISSING. */
export function openSupernet(space: Space, profilesDir: string, dataset: string): SupernetEvaluator {
  const path = join(profilesDir, 'supernets', space.id, 'weights.safetensors');
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw new HildaError('SUPERNET_INVALID', `there is no super-network for the space ${space.id}`, {
      cause,
      hint: 'Train one: hilda train --help. Or choose another evaluator.',
    });
  }
  const folder = join(profilesDir, 'datasets', dataset);
  return new SupernetEvaluator({
    space,
    weights: new SharedWeights(readSafetensors(bytes).tensors),
    calibration: readIdxImages(folder, 'calibration'),
    validation: readIdxImages(folder, 'validation'),
    source: `${dataset} validation`,
  });
}
