import { z } from 'zod';

const interval = z.tuple([z.number(), z.number()]).readonly();

const historyPointSchema = z.object({
  measurement: z.string(),
  takenAtMs: z.int(),
  value: z.number(),
  ci: interval.nullable().describe('95 %; null where the value has none.'),
});

/** A fact of the manifest that differs on the two sides of a change. */
const manifestDifferenceSchema = z.object({ path: z.string(), before: z.string(), since: z.string() });

/** A change of a level, as histories and alerts tell it. */
export const changeFields = {
  since: z.string().describe('The first measurement of the new level: the likeliest one.'),
  sinceMs: z.int(),
  between: z
    .tuple([z.string(), z.string()])
    .readonly()
    .describe('First and last measurement that may be the first of the new level, at 95 %.'),
  foundAt: z.string().describe('The measurement that decided.'),
  ratio: z.number().describe('New level over old one.'),
  ratioCi: interval.describe('95 %.'),
  cause: z
    .enum(['series', 'machine'])
    .describe('machine: the references moved with the network, so that the device changed.'),
  differences: z
    .array(manifestDifferenceSchema)
    .readonly()
    .describe('What differs between the five manifests before and the five since.'),
};

const historyChangeSchema = z
  .object({
    ...changeFields,
    returnedAt: z
      .string()
      .nullable()
      .describe('From this measurement on the old level holds again: an episode.'),
  })
  .meta({ id: 'HistoryChange' });

export const historySchema = z
  .object({
    deviceId: z.string(),
    structureHash: z.string(),
    metric: z.string(),
    points: z.array(historyPointSchema).describe('Valid measurements of the series, oldest first.'),
    changes: z.array(historyChangeSchema),
    suspicion: z
      .object({ since: z.string(), ratio: z.number(), pointsMissing: z.int() })
      .nullable()
      .describe(
        'A change that is seen and not yet told from an episode, and how many more points that takes.',
      ),
  })
  .meta({
    id: 'History',
    description:
      'The measurements of one network on one device as a series, with the changes of its level. One false alarm in 2,000 points.',
  });
export type HistoryView = z.infer<typeof historySchema>;
