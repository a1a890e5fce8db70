import { existsSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { HildaError } from '../core/errors.js';
import { canonicalJson } from '../core/json.js';
import type { DataRecord } from '../data/labelled/data-record.js';
import { imageShape, type LabelledImages } from '../data/labelled/labelled-images.js';
import { renormalise } from '../data/labelled/normalise.js';
import { readShipped } from '../data/labelled/shipped-images.js';
import { type LabelledSpec, labelledPaths } from '../data/labelled/spec.js';
import type { DataReading } from '../reading/contract.js';
import { readHere } from '../reading/read-here.js';
import type { Space } from '../search/spaces/contract.js';
import { shippedRecord } from '../train/idx-dataset.js';
import { expectedBy } from '../train/open-training.js';
import { readSupernet, type Supernet, supernetPath } from '../train/weights/supernet-weights.js';
import { SupernetEvaluator } from './supernet.js';

/** Whose weights and images; what each field of a study's `supernet` evaluator says. */
export interface SupernetSpec {
  /** A data set of profiles/datasets, or a person's own; default: the shipped one that the weights were trained on. */
  readonly dataset?: string | LabelledSpec | undefined;
  /** A file that `hilda train` wrote; default: that of the space in profiles/supernets. */
  readonly weights?: string | undefined;
  /** Score on other data than the weights were trained on. */
  readonly otherData?: boolean | undefined;
  /** By default the space itself, or the one its formats were added to. */
  readonly weightsOf?: string | undefined;
  readonly deployedImages?: number;
}

interface Images {
  readonly calibration: LabelledImages;
  readonly validation: LabelledImages;
  readonly record: DataRecord;
}

/**
 * A space's super-network with the images that score it. Where the space has no super-network but came with weights, these.
 * Throws SPEC_INVALID, SUPERNET_INVALID, DATASET_MISSING, DATA_INVALID, NOT_FOUND, and DATASET_MISMATCH where the weights
 * were trained on other data, or on data that nobody recorded, and `otherData` is not set.
 */
export async function openSupernet(
  space: Space,
  profilesDir: string,
  spec: SupernetSpec,
  reading: DataReading = readHere,
): Promise<SupernetEvaluator> {
  const { weightsOf = (space.formats?.base ?? space).id, otherData = false } = spec;
  checkPaths(spec);
  const path = spec.weights ?? supernetPath(join(profilesDir, 'supernets'), weightsOf);
  const own = space.weights !== undefined && spec.weights === undefined && !existsSync(path);
  const supernet = own ? undefined : readSupernet(path, weightsOf);
  const dataset = spec.dataset ?? shippedDataset(supernet, profilesDir);
  const trained = supernet?.data ?? null;
  const images =
    typeof dataset === 'string'
      ? await shippedImages(dataset, space, profilesDir)
      : await ownImages(dataset, space, trained, reading);
  if (supernet && !otherData) checkSame(trained, images.record, path);
  if (trained) checkMeaning(trained, images.record, path);
  const normalised = (part: LabelledImages): LabelledImages =>
    trained ? renormalise(part, images.record.normalisation, trained.normalisation) : part;
  return new SupernetEvaluator({
    space,
    weights: supernet?.weights,
    calibration: normalised(images.calibration),
    validation: normalised(images.validation),
    source: `${images.record.name} validation${own ? ', weights as given' : ''}`,
    deployedImages: spec.deployedImages ?? 0,
    data: { ...images.record, ...(trained && { normalisation: trained.normalisation }) },
  });
}

/** Throws SPEC_INVALID where the weights' data is not shipped. */
function shippedDataset(supernet: Supernet | undefined, profilesDir: string): string {
  const [, name] = /^shipped:(.+)$/.exec(supernet?.data?.identity ?? '') ?? [];
  if (name !== undefined && existsSync(join(profilesDir, 'datasets', name))) return name;
  const trainedOn = supernet?.data ? `on ${supernet.data.name}` : 'on data that their file does not name';
  throw new HildaError(
    'SPEC_INVALID',
    `evaluator.dataset: needed, since the weights were trained ${supernet ? trainedOn : 'elsewhere'}`,
    {
      hint: 'Add the line `dataset:` to the evaluator, as in the training specification: docs/training.md.',
      details: { fields: ['evaluator.dataset'] },
    },
  );
}

/** Throws SPEC_INVALID where the space takes other images or has fewer classes. */
async function shippedImages(name: string, space: Space, profilesDir: string): Promise<Images> {
  const { calibration, validation } = await readShipped(profilesDir, name);
  const expected = expectedBy(space);
  const most = Math.max(...validation.labels);
  if (imageShape(validation) !== expected.input.join('x') || most >= expected.classes)
    throw new HildaError(
      'SPEC_INVALID',
      `evaluator.dataset: the space ${space.id} takes ${expected.input.join('x')} and has ${expected.classes} classes, ${name} is ${imageShape(validation)} with ${most + 1} classes`,
      { details: { fields: ['evaluator.dataset'] } },
    );
  return { calibration, validation, record: shippedRecord(name, validation, expected.classes) };
}

/** Normalised as the weights expect it. */
async function ownImages(
  dataset: LabelledSpec,
  space: Space,
  trained: DataRecord | null,
  reading: DataReading,
): Promise<Images> {
  const { train: _, ...images } = await reading.labelled(dataset, {
    ...expectedBy(space),
    ...(trained && { normalisation: trained.normalisation }),
  });
  return images;
}

function checkSame(trained: DataRecord | null, given: DataRecord, path: string): void {
  if (trained?.identity === given.identity) return;
  const reason = trained
    ? `${path} was trained on ${trained.name} (${trained.identity.slice(0, 19)}), not on ${given.name} (${given.identity.slice(0, 19)})`
    : `${path} does not say what it was trained on`;
  const line = 'add the line `otherData: true` to the evaluator to score on these images all the same.';
  throw mismatch(
    reason,
    trained,
    given,
    trained
      ? `Name the data set that the weights were trained on, or ${line}`
      : `Train the weights again, or ${line}`,
  );
}

/**
 * Other data may score weights only where its numbers mean the same: one unit (pixels, a file's own numbers, features of
 * one front end) and one list of classes. Throws DATASET_MISMATCH.
 */
function checkMeaning(trained: DataRecord, given: DataRecord, path: string): void {
  const unit = ({ kind, sound }: DataRecord): string =>
    kind === 'idx' ? 'images' : `${kind}${sound ? canonicalJson(sound) : ''}`;
  const classes = ({ classNames }: DataRecord): string => JSON.stringify(classNames);
  const reason =
    unit(trained) !== unit(given)
      ? `values of ${given.kind} are not those of ${trained.kind} that ${path} was trained on, or come from another front end`
      : trained.classNames && given.classNames && classes(trained) !== classes(given)
        ? `${path} was trained on the classes ${trained.classNames.join(', ')}, not on ${given.classNames.join(', ')}`
        : undefined;
  if (reason) throw mismatch(reason, trained, given, 'Train on data of this kind.');
}

const mismatch = (reason: string, trained: DataRecord | null, given: DataRecord, hint?: string): HildaError =>
  new HildaError('DATASET_MISMATCH', `evaluator.dataset: ${reason}`, {
    ...(hint && { hint }),
    details: { trained: trained?.identity ?? null, given: given.identity },
  });

/** The daemon's own folder means nothing to who writes a specification. */
function checkPaths({ dataset, weights }: SupernetSpec): void {
  const fields = typeof dataset === 'object' ? Object.entries(dataset) : [];
  const paths = [
    ...fields
      .filter(([key]) => (labelledPaths as readonly string[]).includes(key))
      .map(([key, value]) => [`dataset.${key}`, value]),
    ['weights', weights],
  ];
  for (const [key, value] of paths)
    if (typeof value === 'string' && !isAbsolute(value))
      throw new HildaError('SPEC_INVALID', `evaluator.${key}: ${value} is no absolute path`, {
        details: { fields: [`evaluator.${key}`] },
      });
}
