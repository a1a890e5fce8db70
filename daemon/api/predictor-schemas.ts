import { z } from 'zod';
import { tableFormats } from '../predict/tables/format-names.js';
import { choices } from '../predictors/choose-networks.js';
import { probeScheduleStateSchema } from '../predictors/probe-schedule.js';
import { campaignStates } from '../store/state-names.js';
import { targetSchema } from './device-schemas.js';
import { problemSchema } from './schemas.js';

const scoreSchema = z
  .object({
    n: z.int(),
    spearman: z.number(),
    kendall: z.number(),
    mape: z.number().describe('Percent.'),
    within10: z.number().describe('Share within 10 %, 0 to 1.'),
    coverage: z.number().describe('Share inside the 90 % interval, 0 to 1.'),
  })
  .meta({ id: 'PredictorScore', description: 'Cross-validated on the samples of the fit.' });

export const driftSchema = z
  .object({
    n: z.int(),
    outside: z.int(),
    shift: z.number(),
    pValue: z.number(),
    state: z.enum(['too-few', 'steady', 'drifted']),
    reason: z.string(),
  })
  .meta({ id: 'Drift', description: 'Whether live measurements still lie where the predictor says.' });

export const predictorSchema = z
  .object({
    id: z.string(),
    deviceId: z.string(),
    target: targetSchema,
    spaceId: z.string(),
    metric: z.string(),
    provenance: z.enum(['measured', 'emulated', 'predicted', 'imported']).describe('Of its samples.'),
    samples: z.int(),
    createdMs: z.int(),
    updatedMs: z.int(),
  })
  .meta({ id: 'Predictor' });

export const predictorDetailSchema = predictorSchema
  .extend({
    model: z.string(),
    transform: z.string().describe('The view of the network that its table builds on.'),
    candidates: z.record(z.string(), z.number()).describe('Held-out error of each model that was tried.'),
    score: scoreSchema
      .nullable()
      .describe('Null: an imported table that was never held against whole networks.'),
    drift: driftSchema,
    cautions: z.array(z.string()),
  })
  .meta({ id: 'PredictorDetail' });

export const predictRequestSchema = z.object({
  architectures: z.array(z.json()).min(1).max(10_000),
  device: z.string().optional().describe('Refused when its target is not the predictor’s.'),
});

export const predictionsSchema = z
  .object({
    provenance: z.literal('predicted'),
    predictor: z.string(),
    unit: z.enum(['us', 'cycles', 'instructions']),
    predictions: z.array(z.object({ mean: z.number(), low: z.number(), high: z.number() })),
    cautions: z.array(z.string()),
  })
  .meta({ id: 'Predictions', description: 'Mean and 90 % interval of each architecture.' });

export const figuresSchema = z
  .object({
    pairs: z.array(z.object({ measured: z.number(), predicted: z.number(), macs: z.int() })),
    residualsByType: z.array(z.object({ type: z.string(), n: z.int(), median: z.number() })),
    reliability: z.array(z.object({ nominal: z.number(), actual: z.number() })),
    learningCurve: z.array(z.object({ n: z.int(), mape: z.number(), spearman: z.number() })),
  })
  .meta({ id: 'PredictorFigures' });

export const campaignRequestSchema = z.object({
  device: z.string(),
  space: z.union([z.string(), z.looseObject({ kind: z.string() })]),
  samples: z.int().min(5).max(5000).default(50),
  seed: z.int().min(0).default(1),
  protocol: z.string().default('search'),
  choice: z
    .enum(choices)
    .default('random')
    .describe(
      'active: after twenty networks, those of the front and those that tell most; one in ten at random.',
    ),
  profile: z.boolean().default(false).describe('Profile every network by operator too, for a table.'),
});

export const campaignSchema = z
  .object({
    id: z.string(),
    kind: z.string().describe('train, probe or compare.'),
    state: z.enum(campaignStates),
    done: z.int(),
    of: z.int(),
    predictorId: z.string().nullable(),
    failures: z.array(z.string()),
    reasons: z
      .record(z.string(), z.number())
      .describe(
        'Networks by why they were chosen: given, random, covering, front, uncertain, audit. Empty until done.',
      ),
    problem: problemSchema.nullable(),
  })
  .meta({
    id: 'Campaign',
    description: 'Several jobs with one purpose: measuring for a predictor, comparing devices.',
  });

export const probeRequestSchema = z.object({
  count: z.int().min(1).max(200).default(10),
  seed: z.int().min(0).default(1),
});

export const scheduleSchema = z
  .object({ schedule: probeScheduleStateSchema.nullable() })
  .meta({ id: 'ProbeSchedule', description: 'When a predictor is probed, and what the latest probe found.' });

export const tableQuerySchema = z.object({
  format: z.enum(tableFormats).default('hilda'),
  keys: z
    .enum(['operators', 'blocks', 'layers'])
    .optional()
    .describe('Default: operators, or what an imported table came with.'),
});

export const importRequestSchema = z.object({
  files: z
    .array(z.object({ name: z.string().min(1).max(500), text: z.string() }))
    .min(1)
    .max(64)
    .describe('Several are one table: Once-for-all’s come one a resolution.'),
  format: z.enum(tableFormats),
  device: z.string().describe('Whose target the table is said to hold for.'),
  space: z.union([z.string(), z.looseObject({ kind: z.string() })]),
  protocol: z.string().default('search').describe('How networks are measured when it is probed.'),
});

export const tableSchema = z
  .object({
    format: z.enum(tableFormats),
    text: z.string(),
    entries: z.int(),
    additivity: z
      .object({
        n: z.int(),
        biasPercent: z.number(),
        mapePercent: z.number(),
        scaledMapePercent: z.number(),
        kendall: z.number(),
        scale: z.number(),
      })
      .nullable()
      .describe('Null: an imported table, whose whole networks are not known.'),
  })
  .meta({
    id: 'LatencyTable',
    description: 'A latency table, and how well its sums tell whole networks that it has not seen.',
  });

export type CampaignView = z.infer<typeof campaignSchema>;
export type PredictorView = z.infer<typeof predictorSchema>;
export type PredictorDetailView = z.infer<typeof predictorDetailSchema>;
