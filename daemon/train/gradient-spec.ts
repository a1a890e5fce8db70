import { z } from 'zod';
import { tableFormats } from '../predict/tables/format-names.js';
import { checkedSpec, datasetSchema, spaceSchema } from './spec.js';

const count = z.number().int().min(1);

/** The authors' two losses with the defaults of their code. */
const lossSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('mul#log'),
    alpha: z.number().gt(0).default(0.2),
    beta: z.number().gt(0).default(0.3),
  }),
  z.strictObject({ kind: z.literal('add#linear'), lambda: z.number().gt(0).default(0.1) }),
]);

/** What `hilda search gradient` takes. */
const gradientSpecSchema = z.strictObject({
  /** Of kind `mbconv`, with a super-network. */
  space: spaceSchema,
  dataset: datasetSchema,
  /** A file that `hilda train` wrote; default: the space's in profiles/supernets. */
  weights: z.string().min(1).optional(),
  /** One search each: a latency table of the target, by block or by layer. */
  targets: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[\w.-]+$/),
        table: z.string(),
        format: z.enum(tableFormats).default('hilda'),
        /** Where the loss starts to reward speed, in the table's unit; default: the space's mean. */
        reference: z.number().gt(0).optional(),
        /** Targets whose costs differ more between choices need a smaller lambda for the same accuracy. */
        loss: lossSchema.optional(),
      }),
    )
    .min(1)
    .max(16)
    .refine((list) => new Set(list.map(({ name }) => name)).size === list.length, 'the same name twice'),
  /** Of targets without one of their own. */
  loss: lossSchema.default({ kind: 'add#linear', lambda: 0.1 }),
  mode: z.enum(['two', 'full']).default('full'),
  steps: count.default(150),
  batch: count.default(64),
  /** Of Adam on the architecture parameters. The authors' 0.001 is meant for tens of thousands of steps. */
  rate: z.number().gt(0).default(0.03),
  /** Networks drawn from each target's distribution and scored, among which winners are taken; 0: the likeliest alone. */
  candidates: z.number().int().min(0).max(10_000).default(64),
  /** Accuracy given up for speed when winners are taken, as a share of 1. */
  slack: z.number().min(0).lt(1).default(0.01),
  seed: z.number().int().default(1),
});

export type GradientSpec = z.infer<typeof gradientSpecSchema>;

/** Throws SPEC_INVALID naming every wrong field by its path. */
export const parseGradientSpec = (value: unknown): GradientSpec =>
  checkedSpec(gradientSpecSchema, value, 'gradient search');
