import { type Architecture, architectureId } from '../core/architecture.js';
import type { ArchitectureId } from '../core/ids.js';
import type { DataRecord } from '../data/labelled/data-record.js';
import { type LabelledImages, sliceImages } from '../data/labelled/labelled-images.js';
import type { Examples } from '../devices/contract.js';
import type { Graph } from '../network/graph.js';
import { readOnnx } from '../network/read-onnx.js';
import { writeOnnx } from '../network/write-onnx.js';
import { SessionProcess } from '../runtime/session-process.js';
import type { Space, WeightSource } from '../search/spaces/contract.js';
import { activationRanges, calibrationBatch } from './activation-ranges.js';
import { rightAnswers } from './classify.js';
import type { Evaluator, Quality } from './contract.js';
import { countedAccuracy } from './evidence.js';
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
  /** Validation images, from the first on, that are shown to a device's own network; none by default. */
  readonly deployedImages?: number;
  /** What the images are. */
  readonly data?: DataRecord | null;
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
  readonly data: DataRecord | null;
  readonly rangesOf: string;
  readonly #options: SupernetOptions;
  readonly #runtime = new SessionProcess();
  readonly #scored = new Map<ArchitectureId, Scored>();

  constructor(options: SupernetOptions) {
    this.#options = options;
    this.data = options.data ?? null;
    this.rangesOf = `${options.calibration.count} calibration images, scored with ${options.source}`;
  }

  readonly ranges: Examples['ranges'] = (network, values) => {
    const { signal } = new AbortController();
    return activationRanges(network, values, this.#options.calibration, this.#runtime, { signal });
  };

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
    const { right } = await this.#score(architecture, options);
    return countedAccuracy({ float: right }, { set: this.#set, source: `${source}, ${right.length} images` });
  }

  /**
   * Accuracy of the float network on all images, plus what the device's network changes on the first of them: see
   * `accuracyOf`. Its error is mostly that of the few images on which the two differ.
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
    // As it is exported, where float attributes have the precision of the file: the int8 network is the same one.
    const classes = await classify(readOnnx(writeOnnx(graph)), {
      values: pixels,
      count,
      ranges,
      calibration: { values: calibration.pixels, count: calibration.count, batch: calibrationBatch },
    });
    const own = Uint8Array.from(labels, (label, i) => (classes[i] === label ? 1 : 0));
    return countedAccuracy(
      { float: right, own },
      { set: this.#set, source: `${source}, float on ${right.length} images, int8 on ${count} of them` },
    );
  }

  /** The images and their order: studies of one data set compare image by image. */
  get #set(): string {
    const { source, validation } = this.#options;
    return `${this.data?.identity ?? source} ${validation.count}`;
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
