import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Architecture, architectureId } from '../core/architecture.js';
import { packBits, unpackBits } from '../core/bits.js';
import { systemClock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import { Xoshiro128 } from '../core/rng.js';
import { type LabelledImages, sliceImages } from '../data/labelled/labelled-images.js';
import type { Graph } from '../network/graph.js';
import { SessionProcess } from '../runtime/session-process.js';
import type { MbconvFile } from '../search/spaces/mbconv/file.js';
import { mbconvSpace } from '../search/spaces/mbconv/mbconv.js';
import { growth, morph } from '../train/morphs.js';
import { oneArchitecture } from '../train/one-architecture.js';
import { parseTrainSpec } from '../train/spec.js';
import { trainSupernet } from '../train/train-supernet.js';
import { readTensorFile, writeTensorFile } from '../train/weights/checkpoint.js';
import type { TensorFile } from '../train/weights/safetensors.js';
import { SharedWeights } from '../train/weights/shared-weights.js';
import { rightAnswers } from './classify.js';
import type { Evaluator, Quality } from './contract.js';
import { countedAccuracy } from './evidence.js';
import { recalibrate } from './recalibrate.js';

export interface InheritingOptions {
  readonly file: MbconvFile;
  readonly images: LabelledImages;
  readonly calibration: LabelledImages;
  readonly validation: LabelledImages;
  /** e.g. `Fashion-MNIST validation`. */
  readonly source: string;
  /** What trains and what scores; kept with the weights, so that a work folder serves one data set. */
  readonly identity: string;
  /** One file an architecture: weights, accuracy, parent. What stands there is not trained again. */
  readonly work: string;
  /** Passes over the images: of a network that inherits, and of one that starts from nothing. */
  readonly epochs: number;
  readonly firstEpochs: number;
  readonly batch: number;
  readonly rate: number;
  readonly seed: number;
  readonly threads: number;
}

interface Trained {
  readonly architecture: readonly number[];
  readonly accuracy: number;
  readonly path: string;
}

/**
 * Trains every architecture that it scores, as EAS does (Cai et al., AAAI 2018, section 4): one that a trained network
 * can grow into inherits its weights by function-preserving moves and is trained briefly; any other starts from nothing
 * and is trained longer. The parent is the trained network with the fewest layers to grow, of these the most accurate.
 * Answers hold for the work folder: an architecture trained there before keeps its accuracy, and who was trained before
 * decides who can be a parent.
 */
export class InheritingEvaluator implements Evaluator {
  readonly metrics = ['accuracy'];
  readonly cost = 'train';
  readonly #options: InheritingOptions;
  readonly #runtime = new SessionProcess({ memoryLimitBytes: null });
  /** One at a time: a child of two parents at once would have to wait anyway. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: InheritingOptions) {
    this.#options = options;
  }

  async evaluate(architecture: Architecture, options: { readonly signal: AbortSignal }): Promise<Quality> {
    const { validation } = this.#options;
    const { metadata } = await this.#trained(architecture, options);
    const source = `${this.#options.source}, ${validation.count} images`;
    const accuracy = Number(metadata.accuracy);
    const { right, images } = metadata;
    // Work folders of earlier versions hold the share alone, and nobody knows of which images.
    if (right === undefined || images !== String(validation.count)) return { values: { accuracy }, source };
    const float = unpackBits(Buffer.from(right, 'base64'), validation.count);
    return countedAccuracy({ float }, { set: source, source });
  }

  async network(architecture: Architecture, options: { readonly signal: AbortSignal }): Promise<Graph> {
    return this.#calibrated(architecture, await this.#trained(architecture, options), options);
  }

  close(): Promise<void> {
    return this.#runtime.stop();
  }

  #trained(architecture: Architecture, options: { readonly signal: AbortSignal }): Promise<TensorFile> {
    const next = this.#turn.then(async () => {
      const path = this.#pathOf(architecture);
      return (await this.#read(path)) ?? (await this.#train(architecture, path, options));
    });
    this.#turn = next.catch(() => {});
    return next;
  }

  /** Throws DATASET_MISMATCH where the file was trained on other data, or does not say on which. */
  async #read(path: string): Promise<TensorFile | undefined> {
    const file = await readTensorFile(path);
    const { identity } = this.#options;
    if (!file || file.metadata.data === identity) return file;
    const trained = file.metadata.data ? 'was trained on other data' : 'does not say what it was trained on';
    throw new HildaError('DATASET_MISMATCH', `evaluator.work: ${path} ${trained}`, {
      hint: 'Name another folder in the line `work:` of the evaluator.',
      details: { trained: file.metadata.data ?? null, given: identity },
    });
  }

  async #train(
    architecture: Architecture,
    path: string,
    { signal }: { readonly signal: AbortSignal },
  ): Promise<TensorFile> {
    const { file, images, epochs, firstEpochs, batch, rate, seed, threads } = this.#options;
    const space = mbconvSpace(file);
    const to = space.normalise(architecture) as readonly number[];
    const id = architectureId(space.id, to);
    const parent = await this.#parentOf(to);
    const inherited = parent && (await this.#grow(parent, to, id));
    const one = oneArchitecture(space, to);
    const spec = parseTrainSpec({
      space: space.id,
      dataset: { folder: '' },
      epochs: inherited ? epochs : firstEpochs,
      batch,
      seed,
      optimizer: { kind: 'adamw', decay: 0.05 },
      rate,
      warmUpSteps: Math.min(20, Math.floor(images.count / batch)),
    });
    const tensors = await trainSupernet({
      space: inherited ? { ...one, weights: inherited } : one,
      spec,
      images,
      validation: sliceImages(images, 0, 0),
      classes: file.classes,
      clock: systemClock,
      signal,
      checkpointPath: `${path}.checkpoint`,
      exportPath: `${path}.partial`,
      threads,
      onProgress: () => {},
    });
    const network = await this.#calibrated(to, { tensors, metadata: {} }, { signal });
    const right = await rightAnswers(network, this.#options.validation, this.#runtime, { signal });
    const accuracy = right.reduce((sum, one) => sum + one, 0) / right.length;
    const metadata = {
      architecture: JSON.stringify(to),
      data: this.#options.identity,
      accuracy: String(accuracy),
      images: String(right.length),
      right: Buffer.from(packBits(right)).toString('base64'),
      parent: parent ? JSON.stringify(parent.architecture) : '',
    };
    await writeTensorFile(path, { tensors, metadata });
    for (const left of ['checkpoint', 'partial']) await rm(`${path}.${left}`, { force: true });
    return { tensors, metadata };
  }

  /** Function-preserving but for a little noise, which lets repeated channels part. */
  async #grow(parent: Trained, to: readonly number[], id: string): Promise<SharedWeights> {
    const { tensors } = (await readTensorFile(parent.path)) as TensorFile;
    const rng = Xoshiro128.fromSeed(Number.parseInt(id.slice(0, 8), 16) >>> 0);
    const { file } = this.#options;
    return new SharedWeights(morph(file, tensors, { from: parent.architecture, to, rng, noise: 0.01 }));
  }

  async #parentOf(to: readonly number[]): Promise<Trained | undefined> {
    const { file, work } = this.#options;
    const names = await readdir(work).catch(() => [] as string[]);
    let best: (Trained & { readonly grown: number }) | undefined;
    for (const name of names.filter((name) => name.endsWith('.safetensors')).sort()) {
      const path = join(work, name);
      const { metadata } = (await this.#read(path)) as TensorFile;
      if (!metadata.architecture) continue;
      const architecture = JSON.parse(metadata.architecture) as number[];
      const grown = growth(file, architecture, to);
      const accuracy = Number(metadata.accuracy);
      if (grown === undefined) continue;
      if (!best || grown < best.grown || (grown === best.grown && accuracy > best.accuracy))
        best = { architecture, accuracy, path, grown };
    }
    return best;
  }

  #calibrated(
    architecture: Architecture,
    { tensors }: TensorFile,
    options: { readonly signal: AbortSignal },
  ): Promise<Graph> {
    const { file, calibration } = this.#options;
    const graph = mbconvSpace(file).network(architecture, new SharedWeights(tensors));
    return recalibrate(graph, calibration, this.#runtime, options);
  }

  #pathOf(architecture: Architecture): string {
    const { file, work } = this.#options;
    const space = mbconvSpace(file);
    return join(work, `${architectureId(file.id, space.normalise(architecture))}.safetensors`);
  }
}
