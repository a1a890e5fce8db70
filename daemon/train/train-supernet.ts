import type { Architecture } from '../core/architecture.js';
import type { Clock } from '../core/clock.js';
import { HildaError } from '../core/errors.js';
import { sha256Hex } from '../core/hash.js';
import { canonicalJson, type Json } from '../core/json.js';
import { SessionProcess } from '../runtime/session-process.js';
import type { Space } from '../search/spaces/contract.js';
import { Batches, streamOf } from './batches.js';
import { readTensorFile, writeTensorFile } from './checkpoint.js';
import { FlatWeights, isTrained } from './flat-weights.js';
import type { LabelledImages } from './idx-images.js';
import { initialise } from './initial-weights.js';
import { addGradient, type CallOptions, NetworkTrainer } from './network-trainer.js';
import { rateAt } from './optimizer.js';
import { OptimizerSession } from './optimizer-session.js';
import type { NamedTensor } from './safetensors.js';
import type { TrainSpec } from './spec.js';
import { oneHot, softened, shareRight } from './targets.js';

export interface TrainProgress {
  readonly step: number;
  readonly totalSteps: number;
  readonly epoch: number;
  readonly rate: number;
  /** Of the last step, largest network. */
  readonly loss: number;
  /** Share of right answers of the largest network since the last report, on augmented training images. */
  readonly trainAccuracy: number;
  /** On the held-out validation images, at the end of an epoch; normalised with each batch's own statistics. */
  readonly validation?: { readonly largest: number; readonly smallest: number };
  readonly elapsedMs: number;
}

export interface TrainOptions {
  readonly space: Space;
  readonly spec: TrainSpec;
  readonly images: LabelledImages;
  readonly validation: LabelledImages;
  readonly classes: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly checkpointPath: string;
  /** Where the weights alone are written at every checkpoint, ready for an evaluator. */
  readonly exportPath: string;
  readonly threads: number;
  readonly onProgress: (progress: TrainProgress) => void;
  readonly reportSteps?: number;
  /** Ends after this step as if it were cut off, with a checkpoint. */
  readonly stopAfterStep?: number;
}

const maxSessions = 8;

/**
 * Trains the weights that all architectures of a space share: the sandwich rule with in-place distillation (Yu and
 * Huang 2019; BigNAS, Yu et al. 2020). Each step adds up the gradients of the largest, the smallest and some random
 * architectures; the smaller ones learn from the labels and from the largest one's answers.
 *
 * Resumes from its checkpoint with the same numbers as an unbroken run: everything random is a function of the seed
 * and the step. Throws SUPERNET_INVALID when the checkpoint belongs to another specification.
 */
export async function trainSupernet(options: TrainOptions): Promise<ReadonlyMap<string, NamedTensor>> {
  const runtime = new SessionProcess({ memoryLimitBytes: null });
  try {
    return await new SupernetTraining(options, runtime).run();
  } finally {
    await runtime.stop();
  }
}

class SupernetTraining {
  readonly #o: TrainOptions;
  readonly #trainer: NetworkTrainer;
  readonly #runtime: SessionProcess;
  readonly #batches: Batches;
  readonly #call: CallOptions;
  readonly #smallest: Architecture;
  readonly #largest: Architecture;
  readonly #totalSteps: number;
  readonly #fingerprint: string;

  constructor(options: TrainOptions, runtime: SessionProcess) {
    const { space, spec, images, classes, threads, signal } = options;
    this.#o = options;
    this.#runtime = runtime;
    this.#call = { signal };
    this.#batches = new Batches(images, { size: spec.batch, seed: spec.seed, augmentation: spec.augmentation });
    this.#totalSteps = spec.epochs * this.#batches.stepsPerEpoch;
    const imageDims = [1, images.height, images.width];
    this.#trainer = new NetworkTrainer({ space, runtime, imageDims, batch: spec.batch, classes, threads, maxSessions });
    const seeds = space.seeds?.() ?? [];
    if (seeds.length === 0) throw new HildaError('SPACE_INVALID', `the space ${space.id} names no smallest and largest architecture`);
    [this.#smallest, this.#largest] = [seeds[0] as Architecture, seeds.at(-1) as Architecture];
    this.#fingerprint = sha256Hex(canonicalJson({ spec, images: images.count } as unknown as Json));
  }

  async run(): Promise<ReadonlyMap<string, NamedTensor>> {
    const { space, spec, clock, onProgress, reportSteps = 50, stopAfterStep = Number.POSITIVE_INFINITY } = this.#o;
    const initial = initialise(space, streamOf(spec.seed, 'weights', 0));
    const weights = FlatWeights.of(initial);
    const gradients = new FlatWeights([...initial].map(([name, { dims }]) => [name, dims] as const));
    const optimizer = new OptimizerSession(this.#runtime, spec.optimizer, weights.decayed());
    let step = await this.#resume(weights, optimizer);
    const startMs = clock.nowMs();
    let right = 0;
    let seen = 0;
    while (step < this.#totalSteps) {
      gradients.vector.fill(0);
      const largest = await this.#step(step, weights, gradients);
      const rate = rateAt(step, { rate: spec.rate, warmUpSteps: spec.warmUpSteps, totalSteps: this.#totalSteps });
      step += 1;
      weights.vector.set(await optimizer.step(weights.vector, gradients.vector, { rate, t: step }, this.#call));
      right += largest.right * spec.batch;
      seen += spec.batch;
      const epochEnds = step % this.#batches.stepsPerEpoch === 0;
      if (epochEnds || step % reportSteps === 0) {
        const validation = epochEnds && this.#o.validation.count >= spec.batch ? await this.#validate(weights) : undefined;
        onProgress({
          step,
          totalSteps: this.#totalSteps,
          epoch: step / this.#batches.stepsPerEpoch,
          rate,
          loss: largest.loss,
          trainAccuracy: right / seen,
          ...(validation && { validation }),
          elapsedMs: clock.nowMs() - startMs,
        });
        right = 0;
        seen = 0;
      }
      const stops = step >= stopAfterStep;
      if (stops || step === this.#totalSteps || step % spec.checkpointSteps === 0) await this.#save(step, weights, initial, optimizer);
      if (stops) break;
    }
    return this.#exported(weights, initial);
  }

  /** Adds the gradients of one step's architectures. */
  async #step(step: number, weights: FlatWeights, gradients: FlatWeights): Promise<{ readonly loss: number; readonly right: number }> {
    const { spec, classes } = this.#o;
    const { images, labels } = this.#batches.at(step);
    const hard = oneHot(labels, classes, spec.labelSmoothing);
    const learn = async (architecture: Architecture, targets: Float32Array) => {
      const { pass, parameters } = await this.#trainer.pass(architecture, weights.tensors, images, targets, this.#call);
      if (!Number.isFinite(pass.loss)) throw new HildaError('SPEC_INVALID', `the loss is ${pass.loss} at step ${step}`, { hint: 'Lower the rate, or optimizer.maxNorm.' });
      addGradient(gradients.tensors, parameters, pass.gradient);
      return pass;
    };
    const teacher = await learn(this.#largest, hard);
    if (step >= spec.warmEpochs * this.#batches.stepsPerEpoch) {
      const mixed = softened(hard, teacher.probabilities, spec.hardShare);
      for (const architecture of [this.#smallest, ...this.#randomAt(step)]) await learn(architecture, mixed);
    }
    return { loss: teacher.loss, right: shareRight(teacher.probabilities, labels) };
  }

  /** The random architectures of a step: the same for `keepSteps` steps. */
  #randomAt(step: number): readonly Architecture[] {
    const { space, spec } = this.#o;
    const rng = streamOf(spec.seed, 'architectures', Math.floor(step / spec.keepSteps));
    return Array.from({ length: spec.randomArchitectures }, () => space.sample(rng));
  }

  async #validate(weights: FlatWeights): Promise<{ readonly largest: number; readonly smallest: number }> {
    const { validation, spec, classes } = this.#o;
    const accuracy = async (architecture: Architecture): Promise<number> => {
      const area = validation.height * validation.width;
      const batches = Math.floor(validation.count / spec.batch);
      let sum = 0;
      for (let i = 0; i < batches; i++) {
        const [from, to] = [i * spec.batch, (i + 1) * spec.batch];
        const labels = validation.labels.subarray(from, to);
        const { pass } = await this.#trainer.pass(architecture, weights.tensors, validation.pixels.slice(from * area, to * area), oneHot(labels, classes, 0), this.#call);
        sum += shareRight(pass.probabilities, labels);
      }
      return sum / batches;
    };
    return { largest: await accuracy(this.#largest), smallest: await accuracy(this.#smallest) };
  }

  #exported(weights: FlatWeights, initial: ReadonlyMap<string, NamedTensor>): ReadonlyMap<string, NamedTensor> {
    return new Map([...initial].map(([name, tensor]) => [name, isTrained(name) ? (weights.tensors.get(name) as NamedTensor) : tensor]));
  }

  async #save(step: number, weights: FlatWeights, initial: ReadonlyMap<string, NamedTensor>, optimizer: OptimizerSession): Promise<void> {
    const { space, spec, checkpointPath, exportPath } = this.#o;
    const state = Object.entries(await optimizer.state(this.#call));
    const vectors = [['weights', weights.vector] as const, ...state].map(([name, data]) => [name, { dims: [data.length], data }] as const);
    await writeTensorFile(checkpointPath, { tensors: new Map(vectors), metadata: { step: String(step), fingerprint: this.#fingerprint } });
    const metadata = { space: space.id, seed: String(spec.seed), step: String(step), totalSteps: String(this.#totalSteps) };
    await writeTensorFile(exportPath, { tensors: this.#exported(weights, initial), metadata });
  }

  /** Gives the step to go on from: 0 without a checkpoint. */
  async #resume(weights: FlatWeights, optimizer: OptimizerSession): Promise<number> {
    const { checkpointPath } = this.#o;
    const file = await readTensorFile(checkpointPath);
    if (!file) return 0;
    const vector = file.tensors.get('weights')?.data;
    if (file.metadata.fingerprint !== this.#fingerprint || vector?.length !== weights.vector.length) {
      throw new HildaError('SUPERNET_INVALID', `${checkpointPath} belongs to another specification`, { hint: 'Move it away to start afresh, or train with the specification it was made with.' });
    }
    weights.vector.set(vector);
    optimizer.restore(Object.fromEntries([...file.tensors].flatMap(([name, { data }]) => (name === 'weights' ? [] : [[name, data]]))));
    return Number(file.metadata.step);
  }
}
