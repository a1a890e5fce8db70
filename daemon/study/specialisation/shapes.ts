import { z } from 'zod';
import type { ArchitectureId, DeviceId, MeasurementId, SpecialisationId, StudyId } from '../../core/ids.js';

/** Each shape of a specialisation once: what is stored, what it looks like, and so what the API answers. */

/** A text to the reader of the JSON schema, an id of its kind to the compiler. */
const idOf = <Id extends string>(): z.ZodType<Id, string> => z.string() as unknown as z.ZodType<Id, string>;
const deviceId = idOf<DeviceId>();
const studyId = idOf<StudyId>();
const share = z.number().min(0).lt(1);
const accuracyCi = z
  .tuple([z.number(), z.number()])
  .readonly()
  .nullable()
  .describe('95 %, of the accuracy; null where nothing tells it.');

const asked = {
  slack: share.describe('Accuracy given up for speed, as a share of 1.'),
  finalists: z
    .int()
    .min(1)
    .max(20)
    .describe(
      'Front members that each search sends to the finals, at most: the fastest that are accurate enough.',
    ),
  protocol: z.string().nullable().describe('How the finalists are measured; null: as in the searches.'),
};

/** What of a column was settled when it was asked for. */
const columnPlan = z.object({
  deviceId,
  /** As `DeviceRecord.host`: devices of one host are searched in turn. */
  host: z.string().nullable(),
  speed: z
    .enum(['latencyUs', 'cycles', 'instructions'])
    .describe('What its column holds; columns of other units do not compare.'),
  spec: z.json(),
  search: studyId.nullable().describe('The study that searches for it; null until it is started.'),
});

/**
 * `SpecialisationRecord.body`. A column's `search` is one that the user gave; null where it has one of its own. Before searches
 * shared what they found each sent its winner alone, and the record said nothing of it.
 */
export const planSchema = z.object({
  ...asked,
  finalists: asked.finalists.default(1),
  columns: z.array(columnPlan),
});

const cellSchema = z.object({
  value: z
    .number()
    .nullable()
    .describe("In the unit of the column's metric; null where there is no valid measurement."),
  ci: z
    .tuple([z.number(), z.number()])
    .readonly()
    .nullable()
    .describe('95 %, of a latency, and of what a real board counts.'),
  accuracy: z.number().nullable().describe("As the column's device runs the network, a share of 1."),
  accuracyCi,
  provenance: z.enum(['measured', 'emulated', 'predicted', 'imported']).nullable(),
  measurementId: idOf<MeasurementId>().nullable(),
  reason: z
    .string()
    .nullable()
    .describe('Why it does not count: a broken limit, or what measuring ended with; null where it does.'),
});

const rowSchema = z.object({
  deviceId: deviceId.describe('On which it wins.'),
  foundFor: deviceId.describe("Whose search found it: its own device's, where that one sent it too."),
  study: studyId.describe('That search.'),
  trialNumber: z.int(),
  architectureId: idOf<ArchitectureId>(),
  accuracy: z.number().describe('In that search.'),
  accuracyCi,
  cells: z.record(deviceId, cellSchema),
  standing: z
    .enum(['fastest', 'not apart', 'provisional', 'unknown'])
    .describe('Among the finalists on its own device, at equal accuracy.'),
});

export const summarySchema = z.object({
  id: idOf<SpecialisationId>(),
  name: z.string(),
  state: z.enum(['running', 'paused', 'completed', 'failed']),
  reason: z.string().nullable(),
  createdMs: z.int(),
  ...asked,
  columns: z.array(
    columnPlan.omit({ host: true, spec: true }).extend({
      finals: studyId.nullable().describe('The study that measures every finalist on the device.'),
    }),
  ),
});

export const specialisationSchema = summarySchema.extend({
  level: z
    .number()
    .nullable()
    .describe('Accuracies from here on count as equal; null until all searches have ended.'),
  distinctFinalists: z
    .int()
    .nullable()
    .describe('Networks in the finals, each once; null until all searches have ended.'),
  rows: z.array(rowSchema),
});

export type SpecialisationPlan = z.infer<typeof planSchema>;
export type ColumnPlan = z.infer<typeof columnPlan>;
/** How fast a network is, in what a device can give. Never mixed: microseconds, cycles and instructions do not compare. */
export type SpeedMetric = ColumnPlan['speed'];
export const speedMetrics: readonly string[] = columnPlan.shape.speed.options;
/** What a finalist costs on one device, measured with the others after all searches. */
export type MatrixCell = Readonly<z.infer<typeof cellSchema>>;
export type MatrixRow = Readonly<z.infer<typeof rowSchema>>;
/**
 * How a winner stands on its own device among the finalists that are as accurate there as was asked for. `fastest`: the 95 %
 * interval of its difference from each other one, or its count, is below 0. `not apart`: its median is the least, and one of
 * these intervals holds 0. `provisional`: the finals there have not ended; it is the fastest that its own search sent. `unknown`: they have, and no
 * finalist counts there. Being chosen by what was measured on its device, it cannot be beaten there.
 */
export type Standing = MatrixRow['standing'];
export type SpecialisationSummary = z.infer<typeof summarySchema>;
/** Without rows until all searches have ended. */
export type Specialisation = z.infer<typeof specialisationSchema>;
