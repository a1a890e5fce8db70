import { z } from 'zod';

/** A decision's choices: each once, since two equal ones would give one network two ids. */
export const distinct = <T extends z.ZodType<number>>(item: T): z.ZodArray<T> =>
  z
    .array(item)
    .min(1)
    .max(64)
    .refine((values) => new Set(values).size === values.length, 'the same choice twice');
