import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import type { Space } from '../search/spaces/contract.js';
import { CommandEvaluator } from './command.js';
import type { Evaluator } from './contract.js';
import { openSupernet } from './supernet.js';
import { TableEvaluator } from './table.js';

const architectureSchema = z.union([z.array(z.number()), z.record(z.string(), z.json())]);

/** One line a kind. */
const evaluatorSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('supernet'),
    dataset: z
      .string()
      .regex(/^[\w-]+$/)
      .default('fashion-mnist'),
    /** The space whose super-network serves this one, where this one is a part of it. */
    weightsOf: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]*$/)
      .optional(),
  }),
  z.strictObject({
    kind: z.literal('command'),
    command: z.array(z.string()).min(1),
    timeoutMs: z.number().int().min(1).default(3_600_000),
  }),
  /** A JSON file: a list of `{architecture, values}`. */
  z.strictObject({ kind: z.literal('table'), file: z.string(), source: z.string() }),
]);

const tableSchema = z
  .array(z.object({ architecture: architectureSchema, values: z.record(z.string(), z.number()) }))
  .min(1);

/** The evaluator that a study's specification names. Throws SPEC_INVALID, SUPERNET_INVALID, DATASET_MISSING. */
export async function createEvaluator(
  spec: unknown,
  { space, profilesDir }: { readonly space: Space; readonly profilesDir: string },
): Promise<Evaluator> {
  const parsed = evaluatorSchema.safeParse(spec);
  if (!parsed.success) {
    const fields = parsed.error.issues.map((issue) => `evaluator.${issue.path.join('.')}: ${issue.message}`);
    throw new HildaError('SPEC_INVALID', `the evaluator is not valid: ${fields.join('; ')}`, {
      details: { fields },
    });
  }
  const { data } = parsed;
  switch (data.kind) {
    case 'supernet':
      return openSupernet(space, profilesDir, data.dataset, data.weightsOf);
    case 'command':
      return new CommandEvaluator(data);
    case 'table':
      return new TableEvaluator(
        space.id,
        readTable(data.file).map(({ architecture, values }) => [architecture, values] as const),
        data.source,
      );
  }
}

function readTable(file: string): z.infer<typeof tableSchema> {
  try {
    return tableSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    throw new HildaError('SPEC_INVALID', `evaluator.file: ${file} is no table of architectures and values`, {
      cause,
    });
  }
}
