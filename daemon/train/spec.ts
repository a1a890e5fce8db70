import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import { isLabelled, labelledSpecSchema } from '../data/labelled/spec.js';

const share = z.number().min(0).max(1);
const count = z.number().int().min(1);

const optimizerSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('sgd'),
    momentum: share.default(0.9),
    decay: z.number().min(0).default(1e-4),
    maxNorm: z.number().gt(0).default(5),
  }),
  z.strictObject({
    kind: z.literal('adamw'),
    beta1: share.default(0.9),
    beta2: share.default(0.99),
    epsilon: z.number().gt(0).default(1e-8),
    decay: z.number().min(0).default(0.05),
    maxNorm: z.number().gt(0).default(5),
  }),
]);

/** The form of the shipped data set's source. */
const idxDatasetSchema = z.strictObject({
  kind: z.literal('idx').optional(),
  /** Holds `<split>-images-idx3-ubyte.gz` and `<split>-labels-idx1-ubyte.gz`. */
  folder: z.string(),
  split: z
    .string()
    .regex(/^[\w-]+$/)
    .default('train'),
  /** Last images of the split that are not trained on: `validation` at the very end, calibration before. */
  heldOut: z.number().int().min(0).default(0),
  /** How many of the held-out images, counted from the end, give the accuracy shown while training. */
  validation: z.number().int().min(0).default(0),
});

export const datasetSchema = z.discriminatedUnion('kind', [idxDatasetSchema, ...labelledSpecSchema.options]);

export type DatasetSpec = z.infer<typeof datasetSchema>;

/** A space of profiles/spaces, by its id, or a space file's content. */
export const spaceSchema = z.union([
  z.string().regex(/^[a-z0-9][a-z0-9-]*$/),
  z.looseObject({ kind: z.string() }),
]);

/** What `hilda train` takes. */
const trainSpecSchema = z.strictObject({
  space: spaceSchema,
  dataset: datasetSchema,
  /** Train this architecture alone, from the start, instead of weights that all share. */
  architecture: z.array(z.number().int().min(0)).optional(),
  seed: z.number().int().default(1),
  epochs: count,
  /** Epochs in which the largest architecture trains alone. */
  warmEpochs: z.number().int().min(0).default(0),
  batch: count.default(128),
  /**
   * Processes that each take an equal part of every batch: with one thread each they wait for one another once a step, not
   * once an operator. Batch normalisation sees its part alone.
   */
  processes: count.default(1),
  optimizer: optimizerSchema,
  rate: z.number().gt(0),
  warmUpSteps: z.number().int().min(0).default(100),
  /** Sandwich rule (Yu and Huang 2019): beside the largest and the smallest, so many random architectures a step. */
  randomArchitectures: z.number().int().min(0).default(2),
  /** Random architectures stay for so many steps, since a new one costs a new session. */
  keepSteps: count.default(8),
  /** Share of the hard label in a smaller network's target; the rest is the largest network's answer. */
  hardShare: share.default(0.5),
  /** eta of annealed gradient noise (gradient-noise.ts); none where left out. */
  gradientNoise: z.number().gt(0).optional(),
  labelSmoothing: share.default(0),
  /** `flip` mirrors left and right; recordings, whose features would run backwards, are not flipped by default. */
  augmentation: z
    .strictObject({ flip: z.boolean().optional(), shiftPixels: z.number().int().min(0).default(0) })
    .default({ shiftPixels: 0 }),
  /** Steps between two checkpoints. */
  checkpointSteps: count.default(200),
});

type Parsed = z.infer<typeof trainSpecSchema>;

export type TrainSpec = Omit<Parsed, 'augmentation'> & {
  readonly augmentation: { readonly flip: boolean; readonly shiftPixels: number };
};

/** Throws SPEC_INVALID naming every wrong field of the `what` specification by its path. */
export function checkedSpec<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const fields = parsed.error.issues.map((issue) => `${issue.path.join('.') || '(root)'}: ${issue.message}`);
  throw new HildaError('SPEC_INVALID', `the ${what} specification is not valid: ${fields.join('; ')}`, {
    details: { fields },
  });
}

/** Throws SPEC_INVALID naming every wrong field by its path. */
export function parseTrainSpec(value: unknown): TrainSpec {
  const data = checkedSpec(trainSpecSchema, value, 'training');
  const { dataset, augmentation } = data;
  const wrong =
    !isLabelled(dataset) && dataset.validation > dataset.heldOut
      ? 'dataset.validation: more than dataset.heldOut'
      : data.warmEpochs > data.epochs
        ? 'warmEpochs: more than epochs'
        : data.batch % data.processes !== 0
          ? 'processes: does not divide batch'
          : undefined;
  if (wrong)
    throw new HildaError('SPEC_INVALID', `the training specification is not valid: ${wrong}`, {
      details: { fields: [wrong] },
    });
  const { flip = dataset.kind !== 'sounds' } = augmentation;
  return { ...data, augmentation: { ...augmentation, flip } };
}
