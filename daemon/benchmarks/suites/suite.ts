import { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import type { Json } from '../../core/json.js';
import { costMetrics } from '../../core/measurement.js';
import { bindingFields, sha256 } from '../../jobs/input-schemas.js';

/** What a suite measures, where, and what must hold: as asked for over HTTP, and as stored with each run. */

const label = z.string().min(1).max(200);
/** Of names: `*` stands for any text. */
const patterns = z.array(z.string().min(1).max(500)).min(1).max(100);

const networkFields = { name: label.optional().describe('In reports; by default that of its source.') };

const uploaded = z.strictObject({
  model: sha256.describe('Of POST /v1/models.'),
  ...networkFields,
  ...bindingFields,
});
const winnerOf = z.strictObject({
  study: label,
  trial: z.int().min(0).optional().describe('This trial; left out, the best front member is taken.'),
  best: label.optional().describe('The metric that decides; `accuracy` where it is left out.'),
  goal: z.enum(['max', 'min']).optional(),
  limits: z
    .array(
      z.strictObject({
        metric: label,
        relation: z.enum(['<=', '>=']),
        bound: z.number(),
      }),
    )
    .max(20)
    .optional(),
  ...networkFields,
});
const sampleOf = z.strictObject({
  space: label.describe('By its name.'),
  samples: z.int().min(1).max(200),
  seed: z.int().min(0).default(1),
});

const metric = z.enum(costMetrics);
const limitSchema = z.strictObject({
  metric,
  max: z.number().positive(),
  networks: patterns.optional().describe('Only these networks; `*` stands for any text.'),
  devices: patterns.optional().describe('Only on these devices, by id.'),
});
export type SuiteLimit = z.infer<typeof limitSchema>;

export const suiteName = z
  .string()
  .regex(/^[A-Za-z0-9][\w.-]{0,99}$/, 'letters, digits, `.`, `_` and `-`, at most 100');

const suiteFields = {
  suite: suiteName.describe('Its name: runs of one name are compared with each other.'),
  devices: z
    .array(z.string().min(1).max(2000))
    .min(1)
    .max(1000)
    .describe(
      'Selectors: a device id, `target=MODEL` or `tag=TAG` for each device that fits, `pool=DEVICE` for one of its equals.',
    ),
  protocol: z.string().min(1).max(100).default('search'),
  repeats: z.int().min(1).max(50).default(1).describe('Measurements of each network on each device.'),
  attempts: z.int().min(1).max(10).default(2).describe('Of each measurement.'),
  alternate: z
    .boolean()
    .default(false)
    .describe(
      'Two networks in turn on each device (A B B A), so that a drift meets both; `repeats` is the number of pairs.',
    ),
  limits: z.array(limitSchema).max(200).default([]),
  tolerance: z
    .number()
    .min(0)
    .max(1)
    .default(0.03)
    .describe('A change by at most this share counts as none; 0.03 is 3 %.'),
  waitMinutes: z
    .number()
    .min(0)
    .max(10_080)
    .default(2)
    .describe('So long a device that is away is waited for, after the run began.'),
  maxMinutes: z
    .number()
    .positive()
    .max(10_080)
    .optional()
    .describe('What did not begin by then fails with DEADLINE_MISSED.'),
};

export const suiteSchema = z
  .strictObject({
    ...suiteFields,
    networks: z
      .array(z.union([uploaded, winnerOf, sampleOf]))
      .min(1)
      .max(1000),
  })
  .meta({ id: 'BenchmarkSuite' });
export type Suite = z.infer<typeof suiteSchema>;

/** A suite in a file names models by their files, too. */
export const suiteFileSchema = z.strictObject({
  ...suiteFields,
  networks: z
    .array(
      z.union([
        z.strictObject({
          files: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(1000)]),
          ...networkFields,
          ...bindingFields,
        }),
        uploaded,
        winnerOf,
        sampleOf,
      ]),
    )
    .min(1)
    .max(1000),
});
export type SuiteFile = z.infer<typeof suiteFileSchema>;

/** Throws SPEC_INVALID, which names each field that is wrong. */
export function parseSuite<T extends z.ZodType>(schema: T, given: unknown, what: string): z.infer<T> {
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  throw new HildaError('SPEC_INVALID', `${what}: ${z.prettifyError(parsed.error)}`, {
    hint: 'docs/benchmarks.md describes each field of a suite.',
    cause: parsed.error,
  });
}

/** A stored suite, read back. */
export const suiteOf = (spec: Json): Suite => parseSuite(suiteSchema, spec, 'the stored suite');

/** Whether a name fits one of these patterns; no patterns fit all. */
export const fits = (name: string, patterns: readonly string[] | undefined): boolean =>
  patterns === undefined || patterns.some((pattern) => fitsOne(name, pattern.split('*')));

/** By searching each piece behind the one before: no pattern takes long. */
function fitsOne(name: string, [first = '', ...rest]: readonly string[]): boolean {
  if (rest.length === 0) return name === first;
  const last = rest.at(-1) as string;
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length)
    return false;
  let at = first.length;
  for (const piece of rest.slice(0, -1)) {
    const found = name.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= name.length - last.length;
}
