import { z } from 'zod';

/** The shapes of specialisation matrices on the wire. */

const speed = z.enum(['latencyUs', 'cycles', 'instructions']);
const share = z.number().min(0).lt(1);

export const specialisationRequestSchema = z
  .strictObject({
    spec: z
      .json()
      .meta({ description: 'A study specification; a metric `cycles@DEVICE` is for that device alone.' }),
    devices: z.array(z.string().min(1)).min(2).max(16),
    slack: share.default(0.01).describe('Accuracy given up for speed, as a share of 1.'),
    protocol: z
      .string()
      .min(1)
      .optional()
      .describe('How the winners are measured; left out, as in the searches.'),
    searches: z
      .record(z.string(), z.string())
      .optional()
      .describe('By any label, studies of one device each that are taken as its search.'),
  })
  .meta({ id: 'SpecialisationRequest' });

const cellSchema = z.object({
  value: z.number().nullable().describe("In the unit of the device's speed metric."),
  ci: z.tuple([z.number(), z.number()]).readonly().nullable().describe('95 %, of a latency.'),
  accuracy: z.number().nullable().describe('As the device runs the network.'),
  provenance: z.enum(['measured', 'emulated', 'predicted', 'imported']).nullable(),
  measurementId: z.string().nullable(),
  reason: z.string().nullable().describe('Why it does not count; null where it does.'),
});

export const specialisationRecordSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    state: z.enum(['running', 'paused', 'completed', 'failed']),
    reason: z.string().nullable(),
    createdMs: z.number(),
    slack: z.number(),
    protocol: z.string().nullable(),
    columns: z.array(
      z.object({
        deviceId: z.string(),
        speed: speed.describe('What its column holds; columns of other units do not compare.'),
        search: z.string().nullable(),
        winners: z.string().nullable().describe('The study that measures every winner on the device.'),
      }),
    ),
  })
  .meta({ id: 'SpecialisationRecord' });

export const specialisationSchema = specialisationRecordSchema
  .extend({
    level: z
      .number()
      .nullable()
      .describe('Accuracies from here on count as equal; null until all searches have ended.'),
    rows: z.array(
      z.object({
        deviceId: z.string().describe('For which it was searched.'),
        study: z.string(),
        trialNumber: z.number(),
        architectureId: z.string(),
        accuracy: z.number(),
        cells: z.record(z.string(), cellSchema),
        standing: z
          .enum(['fastest', 'not apart', 'on the front', 'beaten', 'unknown'])
          .describe('Among the winners on its own device, at equal accuracy.'),
      }),
    ),
  })
  .meta({ id: 'Specialisation', description: 'Row: whose winner. Column: where it was measured.' });

export type SpecialisationView = z.infer<typeof specialisationSchema>;
export type SpecialisationRecordView = z.infer<typeof specialisationRecordSchema>;
