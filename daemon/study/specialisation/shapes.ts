import { z } from 'zod';
import type { ArchitectureId, DeviceId, MeasurementId, SpecialisationId, StudyId } from '../../core/ids.js';

/** Each shape of a specialisation once: what is stored, what it looks like, and so what the API answers. */

/** A text to the reader of the JSON schema, an id of its kind to the compiler. */
const idOf = <Id extends string>(): z.ZodType<Id, string> => z.string() as unknown as z.ZodType<Id, string>;
const deviceId = idOf<DeviceId>();
const studyId = idOf<StudyId>();
const share = z.number().min(0).lt(1);

const asked = {
  slack: share.describe('Accuracy given up for speed, as a share of 1.'),
  protocol: z.string().nullable().describe('How the winners are measured; null: as in the searches.'),
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

/** `SpecialisationRecord.body`. A column's `search` is one that the user gave; null where it has one of its own. */
export const planSchema = z.object({ ...asked, columns: z.array(columnPlan) });

export const cellSchema = z.object({
  value: z
    .number()
    .nullable()
    .describe("In the unit of the column's metric; null where there is no valid measurement."),
  ci: z.tuple([z.number(), z.number()]).readonly().nullable().describe('95 %, of a latency.'),
  accuracy: z.number().nullable().describe("As the column's device runs the network, a share of 1."),
  provenance: z.enum(['measured', 'emulated', 'predicted', 'imported']).nullable(),
  measurementId: idOf<MeasurementId>().nullable(),
  reason: z
    .string()
    .nullable()
    .describe('Why it does not count: a broken limit, or what measuring ended with; null where it does.'),
});

export const rowSchema = z.object({
  deviceId: deviceId.describe('For which it was searched.'),
  study: studyId,
  trialNumber: z.number(),
  architectureId: idOf<ArchitectureId>(),
  accuracy: z.number().describe('In its own search.'),
  cells: z.record(deviceId, cellSchema),
  standing: z
    .enum(['fastest', 'not apart', 'on the front', 'beaten', 'unknown'])
    .describe('Among the winners on its own device, at equal accuracy.'),
  replacedBy: deviceId
    .nullable()
    .describe(
      "Where it is beaten: the device whose winner is this one's, too, now that all were measured on it.",
    ),
});

export const summarySchema = z.object({
  id: idOf<SpecialisationId>(),
  name: z.string(),
  state: z.enum(['running', 'paused', 'completed', 'failed']),
  reason: z.string().nullable(),
  createdMs: z.number(),
  ...asked,
  columns: z.array(
    columnPlan.omit({ host: true, spec: true }).extend({
      winners: studyId.nullable().describe('The study that measures every winner on the device.'),
    }),
  ),
});

export const specialisationSchema = summarySchema.extend({
  level: z
    .number()
    .nullable()
    .describe('Accuracies from here on count as equal; null until all searches have ended.'),
  rows: z.array(rowSchema),
});

export type SpecialisationPlan = z.infer<typeof planSchema>;
export type ColumnPlan = z.infer<typeof columnPlan>;
/** How fast a network is, in what a device can give. Never mixed: microseconds, cycles and instructions do not compare. */
export type SpeedMetric = ColumnPlan['speed'];
export const speedMetrics: readonly string[] = columnPlan.shape.speed.options;
/** What the winner of one device costs on another, measured with the other winners after all searches. */
export type MatrixCell = Readonly<z.infer<typeof cellSchema>>;
export type MatrixRow = Readonly<z.infer<typeof rowSchema>>;
/**
 * How a winner stands on its own device among those winners that are as accurate there as was asked for.
 * `fastest`: no other is faster. `not apart`: those that are have 95 % intervals that overlap its own. `on the front`: those
 * that are, are less accurate there. `beaten`: one is faster and no less accurate; `replacedBy` says which.
 */
export type Standing = MatrixRow['standing'];
export type SpecialisationSummary = z.infer<typeof summarySchema>;
/** Without rows until all searches have ended. */
export type Specialisation = z.infer<typeof specialisationSchema>;
