import type { Clock } from '../core/clock.js';
import { sha256Hex } from '../core/hash.js';
import { canonicalJson, type Json } from '../core/json.js';
import type { DataRecord } from '../data/labelled/data-record.js';
import type { LabelledImages } from '../data/labelled/labelled-images.js';
import { SessionProcess } from '../runtime/session-process.js';
import type { Space } from '../search/spaces/contract.js';
import { Batches, streamOf } from './batches.js';
import { addGradientNoise } from './gradient-noise.js';
import { NetworkTrainer } from './network-trainer.js';
import { rateAt } from './optimizer.js';
import { OptimizerSession } from './optimizer-session.js';
import { Sandwich } from './sandwich.js';
import type { TrainSpec } from './spec.js';
import { writeTensorFile } from './weights/checkpoint.js';
import { FlatWeights, isTrained } from './weights/flat-weights.js';
import { initialise } from './weights/initial-weights.js';
import type { NamedTensor } from './weights/safetensors.js';
import { loadTraining, saveTraining } from './weights/training-checkpoint.js';

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
  /** Time spent training, earlier runs included. */
  readonly trainedMs: number;
}

export interface TrainOptions {
  readonly space: Space;
  readonly spec: TrainSpec;
  readonly images: LabelledImages;
  readonly validation: LabelledImages;
  readonly classes: number;
  /** What the images are: stored with the weights, so that they are never scored on other data in silence. */
  readonly data?: DataRecord;
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
 * glibc gives large blocks back to the system when they are freed and zeroes new ones: a third of a step's time, with
 * onnxruntime's own arena off (eight arenas would hold 3 GB). These settings let it keep them.
 */
const environment = { MALLOC_MMAP_THRESHOLD_: '4000000000', MALLOC_TRIM_THRESHOLD_: '4000000000' };

/**
 * Trains the weights that all architectures of a space share, by the sandwich rule. Resumes from its checkpoint with
 * the same numbers as an unbroken run: everything random is a function of the seed and the step.
 * Throws SUPERNET_INVALID when the checkpoint belongs to another specification, SPEC_INVALID when the loss diverges.
 */
export async function trainSupernet(options: TrainOptions): Promise<ReadonlyMap<string, NamedTensor>> {
  const runtimes = Array.from(
    { length: options.spec.processes },
    () => new SessionProcess({ memoryLimitBytes: null, environment }),
  );
  try {
    return await train(options, runtimes);
  } finally {
    await Promise.all(runtimes.map((runtime) => runtime.stop()));
  }
}

async function train(
  o: TrainOptions,
  runtimes: readonly SessionProcess[],
): Promise<ReadonlyMap<string, NamedTensor>> {
  const { space, spec, images, validation, classes, clock, threads } = o;
  const { reportSteps = 50, stopAfterStep = Number.POSITIVE_INFINITY } = o;
  const call = { signal: o.signal };
  const { batch: size, seed, augmentation } = spec;
  const batches = new Batches(images, { size, seed, augmentation });
  const totalSteps = spec.epochs * batches.stepsPerEpoch;
  const imageDims = [images.channels, images.height, images.width];
  const batch = size / runtimes.length;
  const trainers = runtimes.map(
    (runtime) => new NetworkTrainer({ space, runtime, imageDims, batch, classes, threads, maxSessions }),
  );
  const sandwich = new Sandwich({ space, spec, classes, batches, trainers });

  const initial = initialise(space, streamOf(seed, 'weights', 0));
  const weights = FlatWeights.of(initial);
  const gradients = new FlatWeights([...initial].map(([name, { dims }]) => [name, dims] as const));
  const optimizer = new OptimizerSession(runtimes[0] as SessionProcess, spec.optimizer, weights.decayed());
  const own = o.data && o.data.kind !== 'idx' ? { data: o.data.identity } : {};
  const fingerprint = sha256Hex(canonicalJson({ spec, images: images.count, ...own } as unknown as Json));
  const saved = await loadTraining(o.checkpointPath, fingerprint, weights.vector.length);
  if (saved) {
    weights.vector.set(saved.weights);
    optimizer.restore(saved.optimizer);
  }

  let step = saved?.step ?? 0;
  const startMs = clock.nowMs() - (saved?.trainedMs ?? 0);
  let right = 0;
  let batchesSeen = 0;
  while (step < totalSteps) {
    const largest = await sandwich.gradient(step, weights, gradients, call);
    if (spec.gradientNoise !== undefined)
      addGradientNoise(gradients.vector, { eta: spec.gradientNoise, t: step }, streamOf(seed, 'noise', step));
    const rate = rateAt(step, { rate: spec.rate, warmUpSteps: spec.warmUpSteps, totalSteps });
    step += 1;
    weights.vector.set(await optimizer.step(weights.vector, gradients.vector, { rate, t: step }, call));
    right += largest.right;
    batchesSeen += 1;
    const epochEnds = step % batches.stepsPerEpoch === 0;
    if (epochEnds || step % reportSteps === 0) {
      const validates = epochEnds && validation.count > 0;
      o.onProgress({
        step,
        totalSteps,
        epoch: step / batches.stepsPerEpoch,
        rate,
        loss: largest.loss,
        trainAccuracy: right / batchesSeen,
        ...(validates && { validation: await sandwich.accuracy(weights, validation, call) }),
        trainedMs: clock.nowMs() - startMs,
      });
      [right, batchesSeen] = [0, 0];
    }
    const stops = step >= stopAfterStep;
    if (stops || step === totalSteps || step % spec.checkpointSteps === 0) {
      await saveTraining(o.checkpointPath, fingerprint, {
        step,
        trainedMs: clock.nowMs() - startMs,
        weights: weights.vector,
        optimizer: await optimizer.state(call),
      });
      const metadata = {
        space: space.id,
        seed: `${seed}`,
        step: `${step}`,
        totalSteps: `${totalSteps}`,
        ...(o.data && { data: canonicalJson(o.data as unknown as Json) }),
      };
      await writeTensorFile(o.exportPath, { tensors: exported(weights, initial), metadata });
    }
    if (stops) break;
  }
  return exported(weights, initial);
}

/** The trained tensors, and the untouched running statistics beside them. */
function exported(
  weights: FlatWeights,
  initial: ReadonlyMap<string, NamedTensor>,
): ReadonlyMap<string, NamedTensor> {
  return new Map(
    [...initial].map(([name, tensor]) => [
      name,
      isTrained(name) ? (weights.tensors.get(name) as NamedTensor) : tensor,
    ]),
  );
}
