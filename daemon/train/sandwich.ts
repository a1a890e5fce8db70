import type { Architecture } from '../core/architecture.js';
import { HildaError } from '../core/errors.js';
import type { Space } from '../search/spaces/contract.js';
import { type Batches, streamOf } from './batches.js';
import type { LabelledImages } from './idx-images.js';
import { addGradient, type CallOptions, type NetworkTrainer } from './network-trainer.js';
import type { TrainSpec } from './spec.js';
import { oneHot, shareRight, softened } from './targets.js';
import type { FlatWeights } from './weights/flat-weights.js';

interface Parts {
  readonly space: Space;
  readonly spec: TrainSpec;
  readonly classes: number;
  readonly batches: Batches;
  readonly trainer: NetworkTrainer;
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

  /** Adds one step's gradients to `gradients`. Gives the loss and the share of right answers of the largest network. */
  async addGradients(
    step: number,
    weights: FlatWeights,
    gradients: FlatWeights,
    options: CallOptions,
  ): Promise<{ readonly loss: number; readonly right: number }> {
    const { spec, classes, batches, trainer } = this.#parts;
    const { images, labels } = batches.at(step);
    const hard = oneHot(labels, classes, spec.labelSmoothing);
    const learn = async (architecture: Architecture, targets: Float32Array) => {
      const { pass, parameters } = await trainer.pass(
        architecture,
        weights.tensors,
        images,
        targets,
        options,
      );
      if (!Number.isFinite(pass.loss)) {
        throw new HildaError('SPEC_INVALID', `the loss is ${pass.loss} at step ${step}`, {
          hint: 'Lower the rate, or optimizer.maxNorm.',
        });
      }
      addGradient(gradients.tensors, parameters, pass.gradient);
      return pass;
    };
    const teacher = await learn(this.#largest, hard);
    if (step >= this.#warmSteps) {
      const mixed = softened(hard, teacher.probabilities, spec.hardShare);
      for (const architecture of [this.#smallest, ...this.#randomAt(step)]) await learn(architecture, mixed);
    }
    return { loss: teacher.loss, right: shareRight(teacher.probabilities, labels) };
  }

  /** Share of right answers on whole batches of `images`, normalised with each batch's own statistics. */
  async accuracy(
    weights: FlatWeights,
    images: LabelledImages,
    options: CallOptions,
  ): Promise<{ readonly largest: number; readonly smallest: number }> {
    const { spec, classes, trainer } = this.#parts;
    const area = images.height * images.width;
    const batches = Math.floor(images.count / spec.batch);
    const accuracyOf = async (architecture: Architecture): Promise<number> => {
      let sum = 0;
      for (let i = 0; i < batches; i++) {
        const [from, to] = [i * spec.batch, (i + 1) * spec.batch];
        const labels = images.labels.subarray(from, to);
        const pixels = images.pixels.slice(from * area, to * area);
        const targets = oneHot(labels, classes, 0);
        const { pass } = await trainer.pass(architecture, weights.tensors, pixels, targets, options);
        sum += shareRight(pass.probabilities, labels);
      }
      return sum / batches;
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
