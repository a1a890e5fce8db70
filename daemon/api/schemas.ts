import { z } from 'zod';
import type { operatorCostSchema } from '../devices/schemas.js';

/** The shapes that cross the wire. openapi.json is generated from these, and a test holds every answer against them. */

const json = z.json();
const metricValues = z.record(z.string(), z.number());

export const targetSchema = z
  .object({
    model: z.string(),
    clockHz: z.number().nullable(),
    runtime: z.string(),
    runtimeVersion: z.string(),
    provider: z.string(),
    threads: z.number(),
    dtype: z.string(),
    batch: z.number().optional(),
    tier: z.string(),
  })
  .meta({ id: 'Target', description: 'What a cost belongs to; costs compare only within one target.' });

export const deviceSchema = z
  .object({
    id: z.string(),
    kind: z.string(),
    label: z.string(),
    target: targetSchema,
    host: z
      .string()
      .nullable()
      .describe('The machine whose processors it shares: `local`, an agent; null where it has its own.'),
    state: z.enum(['sighted', 'adopted', 'ignored', 'quarantined']),
    firstSeenMs: z.number(),
    lastSeenMs: z.number(),
    reason: z.string().nullable().describe('Why it is in its state.'),
    tags: z.array(z.string()),
    present: z.boolean().describe('There when last looked for.'),
    obstacle: z.string().nullable().describe('What stands in the way of using it, and what to do.'),
    lease: z
      .object({ holder: z.string(), expiresMs: z.number() })
      .nullable()
      .describe('Who uses the device now.'),
  })
  .meta({ id: 'Device' });

export const invitationSchema = z
  .object({
    kind: z.enum(['page', 'agent']),
    token: z.string(),
    pairing: z.string().describe('Found again in the joiner that comes by this invitation.'),
    expiresMs: z.number(),
    addresses: z.array(
      z.object({
        url: z.string(),
        note: z.string().describe('Who can reach it, and in which tier.'),
        fingerprint: z.string().nullable().describe("SHA-256 of the daemon's own certificate."),
      }),
    ),
  })
  .meta({ id: 'Invitation' });

export const joinerSchema = z
  .object({
    id: z.string(),
    kind: z.enum(['page', 'agent']),
    label: z.string(),
    state: z.enum(['active', 'revoked']),
    createdMs: z.number(),
    pairing: z.string(),
  })
  .meta({ id: 'Joiner', description: 'A page or agent that exchanged a token for a key of its own.' });

const comparisonSchema = z.object({
  equivalent: z.boolean(),
  ratio: z.number(),
  interval: z.tuple([z.number(), z.number()]).readonly().describe('90 % interval of the ratio.'),
});

export const equivalenceSchema = z
  .object({
    devices: z.tuple([z.string(), z.string()]).readonly(),
    target: z.string(),
    margin: z.number(),
    visits: z.number(),
    equivalent: z.boolean(),
    convolution: comparisonSchema,
    transformer: comparisonSchema,
    takenAtMs: z.number(),
  })
  .meta({ id: 'Equivalence', description: 'Second device over the first, by reference network.' });

const summarySchema = z
  .object({
    n: z.number(),
    min: z.number(),
    median: z.number(),
    p90: z.number(),
    mad: z.number(),
    ciLow: z.number(),
    ciHigh: z.number(),
  })
  .meta({
    id: 'SampleSummary',
    description: 'The median is bounded by ciLow and ciHigh at 95 % (bootstrap).',
  });

export const measurementSchema = z
  .object({
    id: z.string(),
    deviceId: z.string(),
    studyId: z.string().nullable(),
    trialNumber: z.number().nullable(),
    target: targetSchema,
    provenance: z.enum(['measured', 'emulated', 'predicted', 'imported']),
    protocol: z.string(),
    structureHash: z.string(),
    weightsHash: z.string(),
    latency: z
      .object({
        rawUs: summarySchema,
        ratio: summarySchema,
        normalisedUs: z.number(),
        normalisedCiUs: z.tuple([z.number(), z.number()]),
        reference: z.enum(['convolution', 'transformer', 'none']),
        loadUs: z.number(),
        firstRunUs: z.number(),
      })
      .nullable()
      .describe('Null where the device counts and does not time: an emulated board.'),
    counts: z
      .object({
        unit: z.enum(['cycles', 'instructions']),
        total: z.number(),
        operators: z.array(z.object({ name: z.string(), op: z.string(), count: z.number() })),
        arenaPeakBytes: z.number(),
        arenaPlannedBytes: z.number(),
        stackPeakBytes: z.number(),
        peakRamBytes: z.number(),
        flashBytes: z.number(),
        weights: z.enum(['real', 'pool']),
        firmwareBuild: z.string(),
      })
      .nullable()
      .describe('What a board reports of one inference; from an emulated board never a time.'),
    memory: z.object({
      weightBytes: z.number(),
      activationPeakBytes: z.number(),
      peakBytes: z.number(),
      runPeakRssBytes: z.number().nullable(),
    }),
    verdict: z.enum(['valid', 'noisy', 'throttled', 'drifted', 'contended', 'suspect']),
    reason: z.string(),
    manifest: z.record(z.string(), json),
    takenAtMs: z.number(),
    durationMs: z.number(),
  })
  .meta({ id: 'Measurement', description: 'Rounds are left out; ask for its samples.' });

export const roundSchema = z
  .object({
    referenceBeforeUs: z.number(),
    candidateUs: z.number(),
    referenceAfterUs: z.number(),
    kept: z.boolean(),
  })
  .meta({ id: 'Round' });

export const networkSchema = z
  .object({
    sha256: z.string(),
    bytes: z.number(),
    name: z.string(),
    opset: z.number(),
    nodes: z.number(),
    inputs: z.array(
      z.object({
        name: z.string(),
        dtype: z.string(),
        dims: z.array(z.union([z.number(), z.string(), z.null()])),
      }),
    ),
  })
  .meta({ id: 'Network', description: 'An uploaded ONNX file, by the SHA-256 of its bytes.' });

export const measurementRequestSchema = z
  .strictObject({
    model: z.string().regex(/^[0-9a-f]{64}$/, 'the SHA-256 of an uploaded model'),
    device: z.string().min(1),
    protocol: z.string().min(1).default('search'),
  })
  .meta({ id: 'MeasurementRequest' });

export const profileRequestSchema = measurementRequestSchema
  .omit({ protocol: true })
  .meta({ id: 'ProfileRequest' });

export const deploymentRequestSchema = z
  .strictObject({
    model: z.string().regex(/^[0-9a-f]{64}$/, 'the SHA-256 of an uploaded model'),
    device: z.string().min(1),
    calibration: z.array(z.array(z.number())).max(1000).default([]),
  })
  .meta({ id: 'DeploymentRequest', description: 'Calibration: inputs that the network will see, flat.' });

export const inferenceRequestSchema = z
  .strictObject({ device: z.string().min(1), input: z.array(z.number()).min(1) })
  .meta({ id: 'InferenceRequest' });

export const tensorsSchema = z.record(
  z.string(),
  z.object({ dims: z.array(z.number()), data: z.array(z.number()) }),
);

export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.number(),
    detail: z.string(),
    code: z.string(),
    hint: z.string(),
    retryable: z.boolean(),
    details: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'Problem', description: 'RFC 9457, with a stable code: docs/errors.md explains each.' });

export const jobSchema = z
  .object({
    id: z.string(),
    state: z.enum(['running', 'done', 'failed']),
    measurement: measurementSchema.nullable(),
    problem: problemSchema.nullable(),
  })
  .meta({
    id: 'Job',
    description: 'A measurement that runs on its own. Kept in memory: a restarted daemon knows it no more.',
  });

export const studySchema = z
  .object({
    id: z.string(),
    name: z.string(),
    spec: json,
    state: z.enum(['running', 'paused', 'completed', 'stopped', 'failed']),
    reason: z.string().nullable(),
    createdMs: z.number(),
    updatedMs: z.number(),
  })
  .meta({ id: 'Study' });

export const studySummarySchema = z
  .object({
    record: studySchema,
    budgetTrials: z.number(),
    told: z.number(),
    asked: z.number(),
    complete: z.number(),
    infeasible: z.number(),
    failed: z.number(),
    frontSize: z.number(),
    hypervolume: z.number(),
    etaMs: z.number().nullable(),
  })
  .meta({ id: 'StudySummary' });

export const trialSchema = z
  .object({
    studyId: z.string(),
    number: z.number(),
    architectureId: z.string(),
    architecture: json,
    note: z.string(),
    state: z.enum(['asked', 'complete', 'infeasible', 'failed']),
    told: z.boolean(),
    values: metricValues,
    predicted: z.record(z.string(), z.object({ mean: z.number(), low: z.number(), high: z.number() })),
    measurements: z.record(z.string(), z.string()),
    reason: z.string().nullable(),
    askedMs: z.number(),
    finishedMs: z.number().nullable(),
  })
  .meta({ id: 'Trial' });

export const frontRowSchema = z
  .object({
    trialNumber: z.number(),
    architectureId: z.string(),
    values: metricValues,
    latencyCiUs: z.record(z.string(), z.tuple([z.number(), z.number()])),
    macs: z.number(),
    parameters: z.number(),
    provenance: z.enum(['measured', 'emulated', 'predicted', 'imported']),
    measurementIds: z.array(z.string()),
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
  .object({ model: z.string(), bytes: z.number(), manifest: json })
  .meta({ id: 'Export', description: 'Fetch the ONNX bytes from /v1/models/{model}.' });

export const eventSchema = z
  .object({
    topic: z.string(),
    seq: z.number(),
    t: z.number().describe('Milliseconds since 1970.'),
    data: json,
  })
  .meta({ id: 'Event' });

export const healthSchema = z
  .object({
    status: z.literal('ok'),
    version: z.string(),
    nowMs: z.number(),
    lastSeq: z.number(),
    devices: z.number(),
    studiesRunning: z.number(),
  })
  .meta({ id: 'Health' });

export type DeviceView = z.infer<typeof deviceSchema>;
export type MeasurementView = z.infer<typeof measurementSchema>;
export type NetworkView = z.infer<typeof networkSchema>;
export type ProblemDocument = z.infer<typeof problemSchema>;
export type JobView = z.infer<typeof jobSchema>;
export type StudyView = z.infer<typeof studySchema>;
export type StudySummaryView = z.infer<typeof studySummarySchema>;
export type TrialView = z.infer<typeof trialSchema>;
export type FrontRowView = z.infer<typeof frontRowSchema>;
export type FrontsView = z.infer<typeof frontsSchema>;
export type ExportView = z.infer<typeof exportSchema>;
export type EventView = z.infer<typeof eventSchema>;
export type HealthView = z.infer<typeof healthSchema>;
export type OperatorCostView = z.infer<typeof operatorCostSchema>;
