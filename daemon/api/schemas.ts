import { z } from 'zod';
import { networkRangesSchema } from '../devices/stored-ranges.js';
import { pageSchema } from './paging.js';

/**
 * Studies, problems and events as they cross the wire; other shapes have files of their own (`*-schemas.ts`).
 * openapi.json is generated from these, and a test holds every answer against them.
 */

const json = z.json();
const metricValues = z.record(z.string(), z.number());
const interval = z.tuple([z.number(), z.number()]).readonly();

const evidenceSchema = z
  .object({
    ci: interval
      .nullable()
      .describe('95 %; null where nothing tells it: imported values, numbers that came bare.'),
    images: z.int().nullable().describe('Counted on so many; null where nobody said.'),
    compared: z
      .int()
      .nullable()
      .describe("Images on which a device's network was compared with the float one; null: it saw them all."),
    source: z.string(),
  })
  .meta({ id: 'Evidence', description: 'What an evaluated value rests on.' });
const evidenceOf = z
  .record(z.string(), evidenceSchema)
  .describe('By metric; trials of earlier versions do not say.');

export const besideSchema = z
  .object({
    trialNumber: z.int().describe('The other trial.'),
    metric: z.string(),
    difference: z.number().describe("This trial's value less the other's, in the metric's unit."),
    ci: interval.describe('95 %, of the difference.'),
    basis: z
      .enum(['paired', 'independent'])
      .describe('Image by image, or from the two intervals as if they were independent.'),
    apart: z.boolean().describe('False where the difference may as well be nothing.'),
  })
  .meta({ id: 'Beside', description: 'One trial beside another of its study.' });

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    hint: z.string(),
    retryable: z.boolean(),
    details: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'Problem', description: 'RFC 9457, with a stable code: docs/errors.md explains each.' });

export const studySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    spec: json,
    state: z.enum(['running', 'paused', 'completed', 'stopped', 'failed']),
    reason: z.string().nullable(),
    createdMs: z.int(),
    updatedMs: z.int(),
  })
  .meta({ id: 'Study' });

export const studySummarySchema = z
  .object({
    record: studySchema,
    budgetTrials: z.int(),
    told: z.int(),
    asked: z.int(),
    complete: z.int(),
    infeasible: z.int(),
    failed: z.int(),
    frontSize: z.int(),
    hypervolume: z.number(),
    devices: z
      .array(z.object({ deviceId: z.string(), measured: z.int(), missing: z.int() }))
      .describe('Trials measured on each device, and complete ones that lack it since it was away.'),
    etaMs: z
      .number()
      .nullable()
      .describe('Time left at the pace so far, and within maxMinutes of the budget.'),
    expectedTrials: z
      .int()
      .nullable()
      .describe('Trials that will have ended then: fewer than the budget has where its time is up before.'),
  })
  .meta({ id: 'StudySummary' });

export const trialSchema = z
  .object({
    studyId: z.string(),
    number: z.int(),
    architectureId: z.string(),
    architecture: json,
    note: z.string(),
    state: z.enum(['asked', 'complete', 'infeasible', 'failed']),
    told: z.boolean(),
    values: metricValues,
    evidence: evidenceOf,
    predicted: z.record(z.string(), z.object({ mean: z.number(), low: z.number(), high: z.number() })),
    measurements: z.record(z.string(), z.string()),
    result: json.nullable().describe('What was told of it from outside, as it was told.'),
    constraints: z
      .array(z.number().nullable())
      .describe(
        'One number a limit of the study, its value less the limit, then those told from outside; at most 0 keeps a limit, null is not known.',
      ),
    intermediateValues: z
      .array(z.object({ step: z.number(), value: z.number() }))
      .describe('Told on the way to its result, by step.'),
    reason: z.string().nullable(),
    askedMs: z.int(),
    finishedMs: z.int().nullable(),
  })
  .meta({ id: 'Trial' });

export const columnsSchema = pageSchema({
  numbers: z.array(z.int()).describe('Of the trials, ascending.'),
  columns: z
    .array(z.object({ metric: z.string(), values: z.array(z.number()) }))
    .describe('One a metric asked for, with a value for each number.'),
}).meta({ id: 'Columns' });

const decisionBase = {
  name: z.string(),
  choices: z.array(z.union([z.number(), z.string()])).describe('An architecture holds the index of one.'),
};
const number = z.number();
const orderedSchemas = [
  z.object({ ...decisionBase, kind: z.literal('categorical') }),
  z.object({
    ...decisionBase,
    kind: z.literal('ordinal'),
    low: number,
    high: number,
    log: z.boolean().describe('Each is the same multiple of the one before.'),
  }),
  z.object({
    ...decisionBase,
    kind: z.literal('integer'),
    low: z.int(),
    high: z.int(),
    step: z.int(),
    log: z.boolean(),
  }),
] as const;

const factorsSchema = z.object({
  decisions: z.array(z.discriminatedUnion('kind', [...orderedSchemas])),
  choiceAt: z
    .array(z.int())
    .describe('The choice of the whole by the choices of its factors, the last factor running fastest.'),
});

export const decisionSchema = z
  .union(orderedSchemas.map((one) => one.extend({ factors: factorsSchema.optional() })))
  .meta({
    id: 'Decision',
    description:
      '`factors`: where the choice decides several things at once, such as a kernel and a width, each by itself.',
  });

const frontRowSchema = z
  .object({
    trialNumber: z.int(),
    architectureId: z.string(),
    values: metricValues,
    evidence: evidenceOf,
    latencyCiUs: z.record(z.string(), z.tuple([z.number(), z.number()])),
    macs: z.int(),
    parameters: z.int(),
    provenance: z.enum(['measured', 'emulated', 'predicted', 'imported']),
    measurementIds: z.array(z.string()),
    beside: z
      .array(besideSchema)
      .describe("Beside its neighbours on this front, by the front's objectives that have intervals."),
  })
  .meta({ id: 'FrontRow', description: 'Provenance speaks of the costs: nothing on a front is predicted.' });

export const frontsSchema = z
  .object({
    front: z.array(frontRowSchema),
    devices: z
      .array(
        z.object({
          deviceId: z.string(),
          objectives: z.array(z.object({ metric: z.string(), goal: z.enum(['min', 'max']) })),
          front: z.array(frontRowSchema),
        }),
      )
      .describe(
        'One front for each device, over what it costs there alone; empty for a study of one device.',
      ),
  })
  .meta({ id: 'Fronts' });

export const exportSchema = z
  .object({
    model: z.string(),
    bytes: z.int(),
    manifest: json,
    ranges: networkRangesSchema
      .nullable()
      .describe('By which boards quantise the network as it was scored: the `ranges` of a deployment.'),
  })
  .meta({ id: 'Export', description: 'Fetch the ONNX bytes from /v1/models/{model}.' });

export const eventSchema = z
  .object({
    topic: z.string(),
    seq: z.int(),
    t: z.int().describe('Milliseconds since 1970.'),
    data: json,
  })
  .meta({ id: 'Event' });

export const healthSchema = z
  .object({
    status: z.literal('ok'),
    version: z.string(),
    nowMs: z.int(),
    lastSeq: z.int(),
    devices: z.int(),
    studiesRunning: z.int(),
    plugins: z
      .array(
        z.object({
          name: z.string(),
          version: z.string(),
          samplers: z.array(z.string()).readonly(),
          drivers: z.array(z.string()).readonly().describe('Kinds of devices.'),
          evaluators: z.array(z.string()).readonly(),
          spaces: z.array(z.string()).readonly().default([]).describe('Kinds of spaces.'),
          models: z.array(z.string()).readonly().default([]).describe('Models of costs.'),
        }),
      )
      .readonly()
      .describe('Packages that were loaded when the daemon started.'),
    faults: z
      .object({ rules: z.int(), strikes: z.int() })
      .nullable()
      .describe('Faults that are injected on purpose; null where none are.'),
  })
  .meta({ id: 'Health' });

export type ProblemDocument = z.infer<typeof problemSchema>;

export type StudyView = z.infer<typeof studySchema>;

export type StudySummaryView = z.infer<typeof studySummarySchema>;

export type TrialView = z.infer<typeof trialSchema>;

export type FrontRowView = z.infer<typeof frontRowSchema>;

export type BesideView = z.infer<typeof besideSchema>;

export type FrontsView = z.infer<typeof frontsSchema>;

export type ExportView = z.infer<typeof exportSchema>;

export type EventView = z.infer<typeof eventSchema>;

export type HealthView = z.infer<typeof healthSchema>;
