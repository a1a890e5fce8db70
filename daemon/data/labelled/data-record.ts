import { z } from 'zod';
import { melSchema } from './spec.js';

/**
 * What weights were trained on, stored with them. Two records with one identity mean the same files under the same
 * reading and split: `sha256:…`, or `shipped:…` for a data set of profiles/datasets.
 */
export const dataRecordSchema = z.strictObject({
  identity: z.string().regex(/^(sha256:[0-9a-f]{64}|shipped:[\w-]+)$/),
  kind: z.enum(['idx', 'images', 'arrays', 'sounds']),
  /** Last part of its path, for people. */
  name: z.string(),
  /** Channels, height, width. */
  input: z.array(z.number().int().min(1)).length(3),
  classes: z.number().int().min(1),
  /** In the order of the labels; null where the data names none. */
  classNames: z.array(z.string()).nullable(),
  /** Examples of the training and of the validation part. */
  trained: z.number().int().min(0),
  validation: z.number().int().min(0),
  /** One number a channel, in the units of the data: pixels of images 0 to 1, arrays as they are, features in nats. */
  normalisation: z.strictObject({ mean: z.array(z.number()), deviation: z.array(z.number()) }),
  /** Of recordings: the front end that made the features, and how many samples it takes. */
  sound: z.strictObject({ mel: melSchema, samples: z.number().int().min(1) }).nullable(),
});

export type DataRecord = z.infer<typeof dataRecordSchema>;
