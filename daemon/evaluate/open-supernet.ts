import { existsSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import { HildaError } from '../core/errors.js';
import type { DataRecord } from '../data/labelled/data-record.js';
import { readIdxImages } from '../data/labelled/idx-images.js';
import type { LabelledImages } from '../data/labelled/labelled-images.js';
import { openLabelled } from '../data/labelled/open-labelled.js';
import { type LabelledSpec, labelledPaths } from '../data/labelled/spec.js';
import type { Space } from '../search/spaces/contract.js';
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
  readonly record: DataRecord | null;
  readonly source: string;
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
): Promise<SupernetEvaluator> {
  const { weightsOf = (space.formats?.base ?? space).id, otherData = false } = spec;
  checkPaths(spec);
  const path = spec.weights ?? supernetPath(join(profilesDir, 'supernets'), weightsOf);
  const own = space.weights !== undefined && spec.weights === undefined && !existsSync(path);
  const supernet = own ? undefined : readSupernet(path, weightsOf);
  const dataset = spec.dataset ?? shippedDataset(supernet, profilesDir);
  const images =
    typeof dataset === 'string'
      ? await shippedImages(dataset, profilesDir)
      : await ownImages(dataset, space, supernet?.data ?? null);
  if (supernet && !otherData) checkSame(supernet.data, images, path);
  return new SupernetEvaluator({
    space,
    weights: supernet?.weights,
    calibration: images.calibration,
    validation: images.validation,
    source: `${images.source}${own ? ', weights as given' : ''}`,
    deployedImages: spec.deployedImages ?? 0,
    data: images.record ?? supernet?.data ?? null,
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
      hint: 'Name the data set as in the training specification: docs/training.md.',
      details: { fields: ['evaluator.dataset'] },
    },
  );
}

async function shippedImages(name: string, profilesDir: string): Promise<Images> {
  const folder = join(profilesDir, 'datasets', name);
  return {
    calibration: await readIdxImages(folder, 'calibration'),
    validation: await readIdxImages(folder, 'validation'),
    record: null,
    source: `${name} validation`,
  };
}

/** Normalised as the weights expect it. */
async function ownImages(dataset: LabelledSpec, space: Space, trained: DataRecord | null): Promise<Images> {
  const { calibration, validation, record } = await openLabelled(dataset, {
    ...expectedBy(space),
    ...(trained && { normalisation: trained.normalisation }),
  });
  return { calibration, validation, record, source: `${record.name} validation` };
}

function checkSame(
  trained: DataRecord | null,
  images: Images & { readonly source: string },
  path: string,
): void {
  const name = images.source.replace(/ validation$/, '');
  const given = images.record?.identity ?? `shipped:${name}`;
  if (trained?.identity === given) return;
  const reason = trained
    ? `${path} was trained on ${trained.name} (${trained.identity.slice(0, 19)}), not on ${name} (${given.slice(0, 19)})`
    : `${path} does not say what it was trained on`;
  throw new HildaError('DATASET_MISMATCH', `evaluator.dataset: ${reason}`, {
    details: { trained: trained?.identity ?? null, given },
  });
}

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
