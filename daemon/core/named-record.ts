import { z } from 'zod';

/** What stands for the key that zod leaves out; no name of a model can hold this character. */
const [key, standIn] = ['__proto__', '\u0000__proto__'];

const renamed = (value: object, from: string, to: string): unknown =>
  Object.hasOwn(value, from)
    ? Object.fromEntries(Object.entries(value).map(([name, one]) => [name === from ? to : name, one]))
    : value;

/** An object by names that a model gives, `__proto__` among them: `z.record` drops it without a word. */
export const namedRecord = <T extends z.ZodType>(
  values: T,
): z.ZodType<Record<string, z.output<T>>, Record<string, z.input<T>>> =>
  z
    .preprocess(
      (given) =>
        typeof given === 'object' && given !== null && !Array.isArray(given)
          ? renamed(given, key, standIn)
          : given,
      z.record(z.string(), values),
    )
    .transform((record) => renamed(record, standIn, key) as Record<string, z.output<T>>) as never;
