import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Architecture, architectureId } from '../core/architecture.js';
import { HildaError } from '../core/errors.js';
import type { ArchitectureId } from '../core/ids.js';
import type { Examples } from '../devices/contract.js';
import type { Graph } from '../network/graph.js';
import { SessionProcess } from '../runtime/session-process.js';
import type { Space, WeightSource } from '../search/spaces/contract.js';
import { type LabelledImages, readIdxImages, sliceImages } from '../train/idx-images.js';
import { readSafetensors } from '../train/weights/safetensors.js';
import { SharedWeights } from '../train/weights/shared-weights.js';
import { activationRanges } from './activation-ranges.js';
import { rightAnswers } from './classify.js';
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
  /** Validation images, from the first on, that are shown to a device's own network; none by default. */
  readonly deployedImages?: number;
}

/** A sub-network that was scored: what comes next about it is likely to come soon. */
interface Scored {
  readonly graph: Graph;
  readonly right: Uint8Array;
}

/** Sub-networks kept for the questions that follow: as many as a study has trials under way. */
const kept = 16;

/** Scores sub-networks cut out of a super-network on a fixed set of images, in a runtime process of its own. */
export class SupernetEvaluator implements Evaluator {
  readonly metrics = ['accuracy'];
  readonly cost = 'cheap';
  readonly #options: SupernetOptions;
  readonly #runtime = new SessionProcess();
  readonly #scored = new Map<ArchitectureId, Scored>();

  constructor(options: SupernetOptions) {
    this.#options = options;
  }

  /** The sub-network with its weights, its batch statistics recalibrated on training images. */
  async network(architecture: Architecture, options: { readonly signal: AbortSignal }): Promise<Graph> {
    const { space, weights, calibration } = this.#options;
    return recalibrate(space.network(architecture, weights), calibration, this.#runtime, options);
  }

  async evaluate(architecture: Architecture, options: { readonly signal: AbortSignal }): Promise<Quality> {
    const { source } = this.#options;
    const { right } = await this.#score(architecture, options);
    return { values: { accuracy: mean(right) }, source: `${source}, ${right.length} images` };
  }

  /**
   * Accuracy of the float network on all images, plus what the device's network changes on the first of them: the
   * difference estimator (Cochran 1977, section 7.2), whose error is that of the few images on which the two differ.
   */
  async deployed(
    architecture: Architecture,
    classify: (network: Graph, examples: Examples) => Promise<ArrayLike<number>>,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<Quality> {
    const { validation, calibration, source, deployedImages = 0 } = this.#options;
    const { graph, right } = await this.#score(architecture, { signal });
    const { count, pixels, labels } = sliceImages(validation, 0, Math.min(deployedImages, validation.count));
    if (count === 0) return { values: {}, source };
    const ranges: Examples['ranges'] = (network, values) =>
      activationRanges(network, values, calibration, this.#runtime, { signal });
    const classes = await classify(graph, { values: pixels, count, ranges });
    const changes = Array.from(labels, (label, i) => (classes[i] === label ? 1 : 0) - (right[i] as number));
    return {
      values: { accuracy: mean(right) + mean(changes) },
      source: `${source}, float on ${right.length} images, int8 on ${count} of them`,
    };
  }

  /** Image by image, so that two sub-networks can be compared on the images where they differ. */
  async rightAnswers(
    architecture: Architecture,
    options: { readonly signal: AbortSignal },
  ): Promise<Uint8Array> {
    return (await this.#score(architecture, options)).right;
  }

  async #score(architecture: Architecture, { signal }: { readonly signal: AbortSignal }): Promise<Scored> {
    const { space, validation, batch } = this.#options;
    const id = architectureId(space.id, architecture);
    const known = this.#scored.get(id);
    if (known) return known;
    const graph = await this.network(architecture, { signal });
    const right = await rightAnswers(graph, validation, this.#runtime, { signal, ...(batch && { batch }) });
    const [oldest] = this.#scored.keys();
    if (oldest && this.#scored.size >= kept) this.#scored.delete(oldest);
    const scored = { graph, right };
    this.#scored.set(id, scored);
    return scored;
  }

  close(): Promise<void> {
    return this.#runtime.stop();
  }
}

const mean = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((sum, one) => sum + one, 0) / values.length;

/** The super-network and images shipped for a space. Throws SUPERNET_INVALID, DATASET_MISSING. */
export function openSupernet(
  space: Space,
  profilesDir: string,
  dataset: string,
  deployedImages = 0,
): SupernetEvaluator {
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
    deployedImages,
  });
}
