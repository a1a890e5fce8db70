import { z } from 'zod';

const count = z.number().int().min(1);

export const melSchema = z.strictObject({
  sampleRate: count.default(16_000),
  window: count.default(400),
  hop: count.default(160),
  fft: count.default(512),
  bands: count.default(40),
  lowHz: z.number().min(0).default(20),
  highHz: z.number().gt(0).default(7600),
  scale: z.enum(['htk', 'slaney']).default('htk'),
  spectrum: z.enum(['power', 'absolute']).default('power'),
  floor: z.number().gt(0).default(1e-6),
});

const shared = {
  /** Share of each class that is never trained on and scores networks; where the data has no such part of its own. */
  validation: z.number().gt(0).lt(1).default(0.2),
  /** Of the split, and of which training examples calibrate. */
  seed: z.number().int().default(1),
  /** Training examples that give batch statistics and ranges. */
  calibration: count.default(128),
  /** One number a channel, in the units of the data; default: what the training examples have. */
  normalise: z
    .strictObject({ mean: z.array(z.number()).min(1), deviation: z.array(z.number().gt(0)).min(1) })
    .optional(),
};

/** A person's own labelled data. Its shape and number of classes are the space's. */
export const labelledSpecSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('images'),
    /** A folder a class, or train/ and val/ with a folder a class in each. */
    folder: z.string().min(1),
    /** Stretch images to the space's size; where false, another size is refused. */
    resize: z.boolean().default(false),
    ...shared,
  }),
  z.strictObject({
    kind: z.literal('sounds'),
    folder: z.string().min(1),
    mel: melSchema.prefault({}),
    /** Recordings are cut or filled with silence to so many samples, at the mel front end's rate. */
    samples: count,
    ...shared,
  }),
  z.strictObject({
    kind: z.literal('arrays'),
    /** A .npz with the arrays x and y, and x_val and y_val where it has them. */
    file: z.string().min(1).optional(),
    /** Or a file each: .npy, IDX, raw float32. */
    x: z.string().min(1).optional(),
    y: z.string().min(1).optional(),
    xVal: z.string().min(1).optional(),
    yVal: z.string().min(1).optional(),
    layout: z.enum(['NCHW', 'NHWC']).default('NCHW'),
    ...shared,
  }),
]);

export type LabelledSpec = z.infer<typeof labelledSpecSchema>;

/** Whether a data set is a person's own; the shipped data set's source has no kind, or the kind idx. */
export const isLabelled = <T extends { readonly kind?: string | undefined }>(
  dataset: T,
): dataset is Extract<T, LabelledSpec> =>
  labelledSpecSchema.options.some(({ shape }) => shape.kind.value === dataset.kind);

/** The fields that are paths, by kind: the command line resolves them beside the specification. */
export const labelledPaths = ['folder', 'file', 'x', 'y', 'xVal', 'yVal'] as const;
