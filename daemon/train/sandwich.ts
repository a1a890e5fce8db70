import type { Architecture } from '../core/architecture.js';
import { HildaError } from '../core/errors.js';
import { type LabelledImages, pickImages } from '../data/labelled/labelled-images.js';
import type { Space } from '../search/spaces/contract.js';
import { type Batch, type Batches, partOf, streamOf } from './batches.js';
import { addGradient, type CallOptions, type NetworkTrainer, type Passed } from './network-trainer.js';
import type { TrainSpec } from './spec.js';
import { oneHot, shareRight, softened } from './targets.js';
import type { FlatWeights } from './weights/flat-weights.js';

interface Parts {
  readonly space: Space;
  readonly spec: TrainSpec;
  readonly classes: number;
  readonly batches: Batches;
  /** One a process; each takes an equal part of every batch. */
  readonly trainers: readonly NetworkTrainer[];
}

/**
 * The sandwich rule with in-place distillation (Yu and Huang 2019; BigNAS, Yu et al. 2020): a step adds up the
 * gradients of the largest, the smallest and some random architectures; the smaller ones learn from the labels and from
 * the largest one's answers. A space of one architecture trains it alone, on the labels.
 */
export class Sandwich {
  readonly #parts: Parts;
  readonly #smallest: Architecture;
  readonly #largest: Architecture;
  readonly #warmSteps: number;

  constructor(parts: Parts) {
    this.#parts = parts;
    const { space, spec, batches } = parts;
    const seeds = space.seeds?.() ?? [];
    const [smallest, largest] = [seeds[0], seeds.at(-1)];
    if (!smallest || !largest) {
      throw new HildaError(
        'SPACE_INVALID',
        `the space ${space.id} names no smallest and largest architecture`,
      );
    }
    [this.#smallest, this.#largest] = [smallest, largest];
    this.#warmSteps = seeds.length === 1 ? Number.POSITIVE_INFINITY : spec.warmEpochs * batches.stepsPerEpoch;
  }

  /** Puts one step's gradient into `gradients`. Gives the loss and the share of right answers of the largest network. */
  async gradient(
    step: number,
    weights: FlatWeights,
    gradients: FlatWeights,
    options: CallOptions,
  ): Promise<{ readonly loss: number; readonly right: number }> {
    const { batches, trainers } = this.#parts;
    const batch = batches.at(step);
    const parts = await Promise.all(
      trainers.map((trainer, i) =>
        this.#learn(step, trainer, partOf(batch, i, trainers.length), weights, options),
      ),
    );
    gradients.vector.fill(0);
    // In one order, whichever process ended first: sums of floats depend on it.
    for (const { passed } of parts) for (const one of passed) addGradient(gradients.tensors, one);
    const share = 1 / parts.length;
    gradients.vector.forEach((value, i) => {
      gradients.vector[i] = value * share;
    });
    return {
      loss: share * parts.reduce((sum, { loss }) => sum + loss, 0),
      right: share * parts.reduce((sum, { right }) => sum + right, 0),
    };
  }

  /** All architectures of a step on one part of its batch. */
  async #learn(
    step: number,
    trainer: NetworkTrainer,
    { images, labels }: Batch,
    { tensors }: FlatWeights,
    options: CallOptions,
  ): Promise<{ readonly passed: readonly Passed[]; readonly loss: number; readonly right: number }> {
    const { spec, classes } = this.#parts;
    const hard = oneHot(labels, classes, spec.labelSmoothing);
    const learn = async (architecture: Architecture, targets: Float32Array): Promise<Passed> => {
      const passed = await trainer.pass(architecture, tensors, images, targets, options);
      if (!Number.isFinite(passed.loss)) {
        throw new HildaError('SPEC_INVALID', `the loss is ${passed.loss} at step ${step}`, {
          hint: 'Lower the rate, or optimizer.maxNorm.',
        });
      }
      return passed;
    };
    const teacher = await learn(this.#largest, hard);
    const passed = [teacher];
    if (step >= this.#warmSteps) {
      const mixed = softened(hard, teacher.probabilities, spec.hardShare);
      for (const architecture of [this.#smallest, ...this.#randomAt(step)]) {
        passed.push(await learn(architecture, mixed));
      }
    }
    return { passed, loss: teacher.loss, right: shareRight(teacher.probabilities, labels) };
  }

  /**
   * Share of right answers, normalised with each part's own statistics. A last part that is not full repeats images from
   * the start, whose answers are not counted again.
   */
  async accuracy(
    weights: FlatWeights,
    images: LabelledImages,
    options: CallOptions,
  ): Promise<{ readonly largest: number; readonly smallest: number }> {
    const { spec, classes, trainers } = this.#parts;
    const [trainer] = trainers as readonly [NetworkTrainer];
    const size = spec.batch / trainers.length;
    const accuracyOf = async (architecture: Architecture): Promise<number> => {
      let right = 0;
      for (let from = 0; from < images.count; from += size) {
        const indices = Array.from({ length: size }, (_, i) => (from + i) % images.count);
        const part = pickImages(images, indices);
        const targets = oneHot(part.labels, classes, 0);
        const { probabilities } = await trainer.pass(
          architecture,
          weights.tensors,
          part.pixels,
          targets,
          options,
        );
        const counted = Math.min(size, images.count - from);
        const labels = part.labels.subarray(0, counted);
        right += counted * shareRight(probabilities.subarray(0, counted * classes), labels);
      }
      return right / images.count;
    };
    return { largest: await accuracyOf(this.#largest), smallest: await accuracyOf(this.#smallest) };
  }

  /** The random architectures of a step: the same for `keepSteps` steps. */
  #randomAt(step: number): readonly Architecture[] {
    const { space, spec } = this.#parts;
    const rng = streamOf(spec.seed, 'architectures', Math.floor(step / spec.keepSteps));
    return Array.from({ length: spec.randomArchitectures }, () => space.sample(rng));
  }
}
