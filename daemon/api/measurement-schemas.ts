import { z } from 'zod';
import type { operatorCostSchema } from '../devices/schemas.js';
import { bindingFields, sha256 } from '../jobs/input-schemas.js';
import { targetSchema } from './device-schemas.js';
import { jobFields } from './job-fields.js';

const devicesText = z
  .string()
  .min(1)
  .max(2000)
  .describe('A device, pool=DEVICE for one of its equals, target=MODEL, or tag=TAG,TAG.');

/** Networks, what is asked of a device with one, and what it answers, as they cross the wire. */

const intervalSchema = z.tuple([z.number(), z.number()]).readonly();
const summarySchema = z
  .object({
    n: z.int(),
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
    trialNumber: z.int().nullable(),
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
        spread: z
          .object({
            within: z.number(),
            between: z.number(),
            regime: z.number(),
            freedom: z.number(),
            sessions: z.int(),
            repeats: z.int(),
          })
          .nullable()
          .optional()
          .describe(
            'Standard deviations of the logarithm of the latency, within a session, between sessions, and by the state of the machine.',
          ),
        clockOff: z
          .number()
          .nullable()
          .optional()
          .describe('Share by which the clock of the device may be off; a part of the interval.'),
        reference: z.enum(['convolution', 'transformer', 'none']),
        convolutionWeight: z.number().nullable().optional(),
        loadUs: z.number().nullable(),
        firstRunUs: z.number().nullable(),
      })
      .nullable()
      .describe('Null where the device counts and does not time: an emulated board.'),
    counts: z
      .object({
        unit: z.enum(['cycles', 'instructions']),
        total: z.number(),
        totalCi: intervalSchema.optional().describe('95 % interval over the rounds; of real boards alone.'),
        operators: z.array(
          z.object({
            name: z.string(),
            op: z.string(),
            count: z.number(),
            countCi: intervalSchema.optional(),
          }),
        ),
        arenaPeakBytes: z.int(),
        arenaPlannedBytes: z.int(),
        stackPeakBytes: z.int(),
        peakRamBytes: z.int(),
        flashBytes: z.int(),
        weights: z.enum(['real', 'pool']),
        firmwareBuild: z.string(),
      })
      .nullable()
      .describe('What a board reports of one inference; from an emulated board never a time.'),
    memory: z.object({
      weightBytes: z.int(),
      activationPeakBytes: z.int().nullable().describe('Null where neither runtime nor graph tells.'),
      peakBytes: z.int().nullable(),
      runPeakRssBytes: z.int().nullable(),
    }),
    verdict: z.enum(['valid', 'noisy', 'throttled', 'drifted', 'contended', 'suspect']),
    reason: z.string(),
    manifest: z.record(z.string(), z.json()),
    takenAtMs: z.int(),
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
    bytes: z.int(),
    name: z.string(),
    opset: z.int(),
    nodes: z.int(),
    inputs: z.array(
      z.object({
        name: z.string(),
        dtype: z.string(),
        dims: z.array(z.union([z.int(), z.string(), z.null()])),
      }),
    ),
  })
  .meta({ id: 'Network', description: 'An uploaded ONNX file, by the SHA-256 of its bytes.' });

export const measurementRequestSchema = z
  .strictObject({
    model: z.string().regex(/^[0-9a-f]{64}$/, 'the SHA-256 of an uploaded model'),
    device: devicesText,
    protocol: z.string().min(1).default('search'),
    ...bindingFields,
    ...jobFields,
  })
  .meta({ id: 'MeasurementRequest' });

export const profileRequestSchema = measurementRequestSchema
  .omit({ protocol: true })
  .meta({ id: 'ProfileRequest' });

export const deploymentRequestSchema = z
  .strictObject({
    model: z.string().regex(/^[0-9a-f]{64}$/, 'the SHA-256 of an uploaded model'),
    device: devicesText,
    ...bindingFields,
    ...jobFields,
    calibration: z
      .union([
        z.array(z.array(z.number())).max(1000),
        z.strictObject({ blobs: z.array(sha256).min(1).max(100_000) }),
      ])
      .default([])
      .describe(
        'Inputs that the network will see: flat, or in pieces, each a .npz with an array for each input.',
      ),
    ranges: sha256.optional().describe('The blob of a ranges file, in place of inputs.'),
  })
  .meta({ id: 'DeploymentRequest' });

export const inferenceRequestSchema = z
  .strictObject({
    device: devicesText,
    ...jobFields,
    input: z
      .union([z.array(z.number()).min(1), z.strictObject({ blob: sha256 })])
      .describe(
        'Values of all inputs, one behind the other; a blob holds a .npz, a .npy, or float32 elements.',
      ),
  })
  .meta({ id: 'InferenceRequest' });

export const tensorsSchema = z.record(
  z.string(),
  z.object({ dims: z.array(z.int()), data: z.array(z.number()) }),
);

export type DeploymentRequest = z.input<typeof deploymentRequestSchema>;

export type MeasurementView = z.infer<typeof measurementSchema>;

export type NetworkView = z.infer<typeof networkSchema>;

export type OperatorCostView = z.infer<typeof operatorCostSchema>;
