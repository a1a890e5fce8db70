import { z } from 'zod';
import { specialisationSchema as shown, summarySchema } from '../study/specialisation/shapes.js';

/** The shapes of specialisation matrices on the wire: what is asked, and what they look like inside as well. */

export const specialisationRequestSchema = z
  .strictObject({
    spec: z
      .json()
      .meta({ description: 'A study specification; a metric `cycles@DEVICE` is for that device alone.' }),
    devices: z.array(z.string().min(1)).min(2).max(16),
    slack: shown.shape.slack.default(0.01),
    finalists: shown.shape.finalists.default(5),
    protocol: z
      .string()
      .min(1)
      .optional()
      .describe('How the finalists are measured; left out, as in the searches.'),
    searches: z
      .array(z.string().min(1))
      .max(16)
      .optional()
      .describe('Studies of one of the devices each, no two of the same, that are taken as its search.'),
  })
  .meta({ id: 'SpecialisationRequest' });

export const specialisationSummarySchema = summarySchema.meta({ id: 'SpecialisationSummary' });

export const specialisationSchema = shown.meta({
  id: 'Specialisation',
  description: 'Row: the winner for a device. Column: where it was measured.',
});
