import { z } from 'zod';
import { HildaError } from '../core/errors.js';
import { readIdxImages } from '../data/labelled/idx-images.js';
import { imageShape, sliceImages } from '../data/labelled/labelled-images.js';
import { readShipped } from '../data/labelled/shipped-images.js';
import { isLabelled, type LabelledSpec, labelledSpecSchema } from '../data/labelled/spec.js';
import type { OwnedEvaluator } from '../plugins/contract.js';
import type { DataReading } from '../reading/contract.js';
import { readHere } from '../reading/read-here.js';
import type { Space } from '../search/spaces/contract.js';
import { type MbconvFile, mbconvFileSchema } from '../search/spaces/mbconv/file.js';
import { type IdxDataset, idxRecord } from '../train/idx-dataset.js';
import { datasetSchema } from '../train/spec.js';
import { CommandEvaluator } from './command.js';
import type { Evaluator } from './contract.js';
import { checkEvaluated, readGiven } from './given-values.js';
import { InheritingEvaluator, type InheritingOptions } from './inheriting.js';
import { openSupernet } from './open-supernet.js';
import { openPluginEvaluator } from './plugin-evaluator.js';
import { TableEvaluator } from './table.js';

const architectureSchema = z.union([z.array(z.number()), z.record(z.string(), z.json())]);

/** One line a kind. */
const evaluatorSchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('supernet'),
    /** A shipped data set by its name, or a person's own; default: the shipped one that the weights were trained on. */
    dataset: z.union([z.string().regex(/^[\w-]+$/), labelledSpecSchema]).optional(),
    /** A file that `hilda train` wrote; default: the space's in profiles/supernets. */
    weights: z.string().min(1).optional(),
    /** Score on other data than the weights were trained on. */
    otherData: z.boolean().default(false),
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
    /** What it prints, e.g. `[accuracy, f1]`: objectives and limits may name these. */
    metrics: z.array(z.string().min(1)).min(1).default(['accuracy']),
  }),
  /** Trains each architecture with our trainer, from inherited weights where a trained one can grow into it. */
  z.strictObject({
    kind: z.literal('inherit'),
    /** Where the trained weights are kept, an architecture a file. */
    work: z.string().min(1),
    training: datasetSchema,
    /** Of the training images, the first so many; default all. */
    images: z.number().int().min(1).optional(),
    /** Whose shipped validation images score; default: those that were held out of the training images. */
    dataset: z
      .string()
      .regex(/^[\w-]+$/)
      .optional(),
    /** Score on shipped images that were not held out of the training images. */
    otherData: z.boolean().default(false),
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

/** Kinds that no plug-in can bring; studies that are evaluated from outside have the last one. */
export const evaluatorKinds: readonly string[] = [
  ...evaluatorSchema.options.map(({ shape }) => shape.kind.value),
  'external',
];

/**
 * The evaluator that a study's specification names; `file`: the space file's content; `others`: of plug-ins; `reading`: what
 * decodes the files that it names, by default this process. Throws SPEC_INVALID, SUPERNET_INVALID, DATASET_MISSING, PLUGIN_FAILED.
 */
export async function createEvaluator(
  spec: unknown,
  {
    space,
    file,
    profilesDir,
    others = [],
    reading = readHere,
  }: {
    readonly space: Space;
    readonly file?: unknown;
    readonly profilesDir: string;
    readonly others?: readonly OwnedEvaluator[];
    readonly reading?: DataReading;
  },
): Promise<Evaluator> {
  const { kind, ...options } = (spec ?? {}) as { readonly kind?: unknown };
  const other = others.find(({ evaluator }) => evaluator.kind === kind);
  if (other) return openPluginEvaluator(other, options, { space });
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
      return openSupernet(space, profilesDir, data, reading);
    case 'command':
      checkEvaluated(data.metrics, 'evaluator.metrics');
      return new CommandEvaluator(data);
    case 'inherit':
      return openInheriting(data, { spaceFile: file, profilesDir, reading });
    case 'table':
      return new TableEvaluator(
        space.id,
        (await readTable(data.file, data.source, reading)).map(
          ({ architecture, values }) => [architecture, values] as const,
        ),
        data.source,
      );
  }
}

async function openInheriting(
  { training, images: most, dataset, otherData, kind, ...options }: InheritSpec,
  {
    spaceFile,
    profilesDir,
    reading,
  }: { readonly spaceFile: unknown; readonly profilesDir: string; readonly reading: DataReading },
): Promise<InheritingEvaluator> {
  const parsed = mbconvFileSchema.safeParse(spaceFile);
  if (!parsed.success)
    throw new HildaError('SPEC_INVALID', `evaluator ${kind}: weights grow in spaces of kind mbconv alone`);
  const file = parsed.data;
  const { images, calibration, validation, source, identity } = isLabelled(training)
    ? await ownParts(training, file, reading)
    : await shippedParts(training, { dataset, otherData }, file, profilesDir);
  if (images.count < options.batch)
    throw new HildaError('SPEC_INVALID', 'evaluator.training: fewer training images than a batch');
  return new InheritingEvaluator({
    ...options,
    file,
    images: sliceImages(images, 0, Math.min(most ?? images.count, images.count)),
    calibration,
    validation,
    source: `${source} validation`,
    identity,
  });
}

type InheritedParts = Pick<
  InheritingOptions,
  'images' | 'calibration' | 'validation' | 'source' | 'identity'
>;

async function ownParts(
  training: LabelledSpec,
  file: MbconvFile,
  reading: DataReading,
): Promise<InheritedParts> {
  const { input, classes } = file;
  const { train, record, ...parts } = await reading.labelled(training, { input, classes });
  return { ...parts, images: train, source: record.name, identity: record.identity };
}

/**
 * Throws SPEC_INVALID where nothing says which images score, and DATASET_MISMATCH where those that score were not held out
 * of the training images, unless `otherData` is set.
 */
async function shippedParts(
  training: IdxDataset,
  { dataset, otherData }: Pick<InheritSpec, 'dataset' | 'otherData'>,
  { input, classes }: MbconvFile,
  profilesDir: string,
): Promise<InheritedParts> {
  const { folder, split, heldOut } = training;
  const all = await readIdxImages(folder, split);
  if (imageShape(all) !== input.join('x'))
    throw new HildaError(
      'SPEC_INVALID',
      `evaluator.training: the space takes ${input.join('x')}, the images are ${imageShape(all)}`,
    );
  const { identity } = await idxRecord(all, training, { classes, profilesDir });
  const [, matching] = /^shipped:(.+)$/.exec(identity) ?? [];
  const name = dataset ?? matching;
  const own = `the training images of ${folder} hold no shipped images out`;
  if (name === undefined)
    throw new HildaError('SPEC_INVALID', `evaluator.dataset: needed, since ${own}`, {
      hint: 'Give your own data with `kind` in `training`, or `heldOut`; else add the lines `dataset: NAME` and `otherData: true`.',
      details: { fields: ['evaluator.dataset'] },
    });
  if (name !== matching && !otherData)
    throw new HildaError('DATASET_MISMATCH', `evaluator.dataset: ${name}: ${own} of that name`, {
      hint: 'Add `otherData: true` to the evaluator to score on these images all the same.',
      details: { trained: identity, given: `shipped:${name}` },
    });
  return {
    images: sliceImages(all, 0, Math.max(0, all.count - heldOut)),
    ...(await readShipped(profilesDir, name)),
    source: name,
    identity: `${identity}, ${heldOut} held out, scored on ${name}`,
  };
}

/** Throws SPEC_INVALID naming the first row that is no architecture, lacks a metric, or holds a value that cannot be. */
async function readTable(
  file: string,
  source: string,
  reading: DataReading,
): Promise<z.infer<typeof tableSchema>> {
  let rows: z.infer<typeof tableSchema>;
  try {
    rows = tableSchema.parse(await reading.json(file));
  } catch (cause) {
    throw new HildaError('SPEC_INVALID', `evaluator.file: ${file} is no table of architectures and values`, {
      cause,
    });
  }
  const metrics = Object.keys(rows[0]?.values ?? {}).sort();
  for (const [i, { values }] of rows.entries()) {
    const wrong = (why: string): HildaError =>
      new HildaError('SPEC_INVALID', `evaluator.file: row ${i + 1} of ${file}: ${why}`, {
        details: { fields: ['evaluator.file'], row: i + 1 },
      });
    if (Object.keys(values).sort().join() !== metrics.join()) throw wrong(`it has not ${metrics.join(', ')}`);
    try {
      readGiven(values, { source, code: 'SPEC_INVALID' });
    } catch (thrown) {
      throw wrong((thrown as Error).message);
    }
  }
  return rows;
}
