import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import type { Space } from '../search/spaces/contract.js';
import { mbconvFileSchema } from '../search/spaces/mbconv-file.js';
import { readIdxImages, sliceImages } from '../train/idx-images.js';
import { datasetSchema } from '../train/spec.js';
import { CommandEvaluator } from './command.js';
import type { Evaluator } from './contract.js';
import { InheritingEvaluator } from './inheriting.js';
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
    /** On how many images a device's int8 network is compared with the float one; 0: not at all. */
    deployedImages: z.number().int().min(0).default(500),
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
  /** Trains each architecture with our trainer, from inherited weights where a trained one can grow into it. */
  z.strictObject({
    kind: z.literal('inherit'),
    /** Where the trained weights are kept, an architecture a file. */
    work: z.string().min(1),
    training: datasetSchema,
    /** Of the training images, the first so many; default all. */
    images: z.number().int().min(1).optional(),
    /** Whose shipped validation images score, and whose calibration images normalise. */
    dataset: z
      .string()
      .regex(/^[\w-]+$/)
      .default('fashion-mnist'),
    epochs: z.number().int().min(1).default(1),
    firstEpochs: z.number().int().min(1).default(3),
    batch: z.number().int().min(1).default(128),
    rate: z.number().gt(0).default(0.004),
    seed: z.number().int().default(1),
    threads: z.number().int().min(1).max(64).default(2),
  }),
  /** A JSON file: a list of `{architecture, values}`. */
  z.strictObject({ kind: z.literal('table'), file: z.string(), source: z.string() }),
]);

type InheritSpec = Extract<z.infer<typeof evaluatorSchema>, { kind: 'inherit' }>;

const tableSchema = z
  .array(z.object({ architecture: architectureSchema, values: z.record(z.string(), z.number()) }))
  .min(1);

/** The evaluator that a study's specification names; `file`: the space file's content. Throws SPEC_INVALID, SUPERNET_INVALID, DATASET_MISSING. */
export async function createEvaluator(
  spec: unknown,
  {
    space,
    file,
    profilesDir,
  }: { readonly space: Space; readonly file?: unknown; readonly profilesDir: string },
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
      return openSupernet(space, profilesDir, data);
    case 'command':
      return new CommandEvaluator(data);
    case 'inherit':
      return openInheriting(data, file, profilesDir);
    case 'table':
      return new TableEvaluator(
        space.id,
        readTable(data.file).map(({ architecture, values }) => [architecture, values] as const),
        data.source,
      );
  }
}

function openInheriting(
  { training, images, dataset, kind, ...options }: InheritSpec,
  spaceFile: unknown,
  profilesDir: string,
): InheritingEvaluator {
  const parsed = mbconvFileSchema.safeParse(spaceFile);
  if (!parsed.success)
    throw new HildaError('SPEC_INVALID', `evaluator ${kind}: weights grow in spaces of kind mbconv alone`);
  const all = readIdxImages(training.folder, training.split);
  const [channels, height, width] = parsed.data.input;
  const wrong =
    channels !== 1 || height !== all.height || width !== all.width
      ? `the space takes ${channels}x${height}x${width}, the images are 1x${all.height}x${all.width}`
      : all.count - training.heldOut < options.batch
        ? 'fewer training images than a batch'
        : undefined;
  if (wrong) throw new HildaError('SPEC_INVALID', `evaluator.training: ${wrong}`);
  const folder = join(profilesDir, 'datasets', dataset);
  return new InheritingEvaluator({
    ...options,
    file: parsed.data,
    images: sliceImages(all, 0, Math.min(images ?? all.count, all.count - training.heldOut)),
    calibration: readIdxImages(folder, 'calibration'),
    validation: readIdxImages(folder, 'validation'),
    source: `${dataset} validation`,
  });
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
