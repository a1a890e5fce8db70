import { z } from 'zod';

/** What the file of every kind of space begins with. */
export const namedFile = <Kind extends string>(kind: Kind) => ({
  kind: z.literal(kind),
  id: z.string().regex(/^[a-z0-9][a-z0-9-]*$/),
  description: z.string().default(''),
});

/** A width, a height, a number of classes. */
export const size = z.number().int().min(1).max(4096);

/** Spaces of image classifiers. */
export const imageFile = <Kind extends string>(kind: Kind) => ({
  ...namedFile(kind),
  /** Channels, height, width. */
  input: z.tuple([size, size, size]),
  classes: size,
});

/** A decision's choices: each once, since two equal ones would give one network two ids. */
export const distinct = <T extends z.ZodType<number>>(item: T): z.ZodArray<T> =>
  z
    .array(item)
    .min(1)
    .max(64)
    .refine((values) => new Set(values).size === values.length, 'the same choice twice');
