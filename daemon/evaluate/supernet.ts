import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Architecture } from '../core/architecture.js';
import type { Graph } from '../network/graph.js';
import { SessionProcess } from '../runtime/session-process.js';
import type { Space, WeightSource } from '../search/spaces/contract.js';
import { type LabelledImages, readIdxImages } from '../train/idx-images.js';
import { supernetWeights } from '../train/weights/supernet-weights.js';
import { activationRanges } from './activation-ranges.js';
import { rightAnswers } from './classify.js';
import type { Evaluator, Quality } from './contract.js';
import { recalibrate } from './recalibrate.js';

export interface SupernetOptions {
  readonly space: Space;
  /** Undefined: those the space came with. */
  readonly weights: WeightSource | undefined;
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

  /**
   * The sub-network with its weights, its batch statistics and the ranges of what it computes in int8 taken from the
   * calibration images.
   */
  async network(architecture: Architecture, options: { readonly signal: AbortSignal }): Promise<Graph> {
    const { space, weights, calibration } = this.#options;
    const { formats } = space;
    const drawn = formats
      ? formats.base.network(formats.baseArchitecture(architecture), weights)
      : space.network(architecture, weights);
    const float = await recalibrate(drawn, calibration, this.#runtime, options);
    if (!formats) return float;
    const asked = new Set<string>();
    formats.quantise(float, architecture, (value) => {
      asked.add(value);
      return undefined;
    });
    if (asked.size === 0) return float;
    const ranges = await activationRanges(float, [...asked], calibration, this.#runtime, options);
    return formats.quantise(float, architecture, (value) => ranges.get(value));
  }

  async evaluate(architecture: Architecture, options: { readonly signal: AbortSignal }): Promise<Quality> {
    const { source } = this.#options;
    const right = await this.rightAnswers(architecture, options);
    return {
      values: { accuracy: right.reduce((sum, one) => sum + one, 0) / right.length },
      source: `${source}, ${right.length} images`,
    };
  }

  /** Image by image, so that two sub-networks can be compared on the images where they differ. */
  async rightAnswers(
    architecture: Architecture,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Uint8Array> {
    const { validation, batch } = this.#options;
    const graph = await this.network(architecture, { signal });
    return rightAnswers(graph, validation, this.#runtime, { signal, ...(batch && { batch }) });
  }

  close(): Promise<void> {
    return this.#runtime.stop();
  }
}

/**
 * Images and the super-network of `weightsOf`: by default the space itself, or the one its formats were added to. Where a
 * space has none but came with weights, these. Throws SUPERNET_INVALID, DATASET_MISSING.
 */
export function openSupernet(
  space: Space,
  profilesDir: string,
  dataset: string,
  weightsOf = (space.formats?.base ?? space).id,
): SupernetEvaluator {
  const folder = join(profilesDir, 'datasets', dataset);
  const trained = join(profilesDir, 'supernets');
  const ownWeights = space.weights !== undefined && !existsSync(join(trained, weightsOf));
  return new SupernetEvaluator({
    space,
    weights: ownWeights ? undefined : supernetWeights(trained, weightsOf),
    calibration: readIdxImages(folder, 'calibration'),
    validation: readIdxImages(folder, 'validation'),
    source: `${dataset} validation${ownWeights ? ', weights as given' : ''}`,
  });
}
