import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import type { Json } from '../core/json.js';
import type { PredictorRecord } from '../store/contract.js';

const positive = z.number().positive();
const part = z.strictObject({ key: z.string(), cost: z.number().min(0) });

const entry = z.strictObject({
  key: z.string(),
  count: z.number().min(0),
  mean: z.number().min(0),
  variance: z.number().min(0),
});

/** What is stored of a predictor. Models are fitted again from it: equal data give the equal model. */
const predictorBodySchema = z.strictObject({
  version: z.literal(1),
  /** The space file's content, so that a predictor stands on its own. */
  space: z.looseObject({ kind: z.string() }),
  provenance: z.enum(['measured', 'emulated', 'predicted', 'imported']),
  protocol: z.string(),
  seed: z.number().int(),
  samples: z.array(
    z.strictObject({
      architecture: z.json(),
      structureHash: z.string(),
      measurementId: z.string(),
      value: positive,
      /** Standard error of the value's logarithm, from the measurement's interval; 0 for counts. */
      deviation: z.number().nonnegative().optional(),
      /** By operator, where the device can profile; empty elsewhere. */
      parts: z.array(part),
      /** By block, where the space names blocks. */
      blocks: z.array(part.extend({ layer: z.number().int().nullable(), choice: z.string().nullable() })),
    }),
  ),
  /** An imported table: what it says of a network is a view of its own, and all there is before samples were taken. */
  table: z
    .strictObject({
      keys: z.enum(['blocks', 'layers']),
      unit: z.enum(['us', 'cycles', 'instructions']),
      /** The files it came from. */
      source: z.string(),
      entries: z.array(entry).min(1),
      /** Keys of the space that it lacks, as far as drawn. */
      missing: z.array(z.string()),
      /** How many of its keys the space was not seen to ask for. */
      unused: z.number().int().min(0),
    })
    .optional(),
  /** Predicted first, measured later; oldest first. */
  live: z.array(
    z.strictObject({
      architecture: z.json(),
      predicted: positive,
      low: z.number().min(0),
      high: positive,
      measured: positive,
      atMs: z.number(),
    }),
  ),
});

export type PredictorBody = z.infer<typeof predictorBodySchema>;
export type PredictorSample = PredictorBody['samples'][number];

/** Throws PREDICTOR_CORRUPT: a damaged model answers nothing. */
export function readBody({ id, body }: Pick<PredictorRecord, 'id' | 'body'>): PredictorBody {
  const parsed = predictorBodySchema.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new HildaError(
    'PREDICTOR_CORRUPT',
    `the stored predictor ${id} cannot be read: ${issue?.path.join('.')}: ${issue?.message}`,
    { cause: parsed.error },
  );
}

export const asJson = (body: PredictorBody): Json => body as unknown as Json;
