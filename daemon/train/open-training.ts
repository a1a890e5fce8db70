import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HildaError } from '../core/errors.js';
import type { DataRecord } from '../data/labelled/data-record.js';
import { readIdxImages } from '../data/labelled/idx-images.js';
import { imageShape, type LabelledImages, sliceImages } from '../data/labelled/labelled-images.js';
import { openLabelled } from '../data/labelled/open-labelled.js';
import type { Expected } from '../data/labelled/raw-parts.js';
import { isLabelled } from '../data/labelled/spec.js';
import type { ValueInfo } from '../network/graph.js';
import type { Space } from '../search/spaces/contract.js';
import { idxRecord } from './idx-dataset.js';
import { oneArchitecture } from './one-architecture.js';
import { openSpace } from './open-space.js';
import type { DatasetSpec, TrainSpec } from './spec.js';

/** What is trained on, with what the weights' file says of it. */
export interface TrainingData {
  readonly images: LabelledImages;
  readonly validation: LabelledImages;
  readonly record: DataRecord;
}

/** What a specification names, read and checked. */
export interface TrainingParts extends Omit<TrainingData, 'record'> {
  readonly space: Space;
  readonly classes: number;
  readonly data: DataRecord;
}

/** Throws SPEC_INVALID, SPACE_INVALID, ARCHITECTURE_INVALID, DATASET_MISSING, NOT_FOUND, DATA_INVALID. */
export async function openTraining(
  spec: Pick<TrainSpec, 'space' | 'dataset' | 'batch'> & {
    readonly architecture?: TrainSpec['architecture'];
  },
  profilesDir: string,
): Promise<TrainingParts> {
  const whole = openSpace(spaceFile(spec.space, profilesDir), profilesDir);
  if (whole.formats)
    throw new HildaError(
      'SPEC_INVALID',
      `space: ${whole.id} adds number formats to ${whole.formats.base.id}`,
      {
        hint: `Train ${whole.formats.base.id}: its super-network serves both.`,
      },
    );
  const space = spec.architecture ? oneArchitecture(whole, spec.architecture) : whole;
  const expected = expectedBy(space);
  const { record, ...images } = await openDataset(spec.dataset, { space, expected, profilesDir });
  if (images.images.count < spec.batch)
    throw new HildaError(
      'SPEC_INVALID',
      `dataset: ${images.images.count} images are left to train on, fewer than a batch of ${spec.batch}`,
    );
  return { space, ...images, classes: expected.classes, data: record };
}

/** Images and classes that a space's networks take. Throws SPEC_INVALID where they are no image classifiers. */
export function expectedBy(space: Space): Expected {
  const { inputs, outputs } = space.network(space.seeds?.().at(-1) ?? []);
  const [[, channels, height, width] = [], [, classes] = []] = [inputs, outputs].map(
    (list) => (list[0] as ValueInfo).dims as number[],
  );
  if (channels === undefined || height === undefined || width === undefined || classes === undefined)
    throw new HildaError('SPEC_INVALID', `the networks of the space ${space.id} classify no images`);
  return { input: [channels, height, width], classes };
}

async function openDataset(
  dataset: DatasetSpec,
  {
    space,
    expected,
    profilesDir,
  }: { readonly space: Space; readonly expected: Expected; readonly profilesDir: string },
): Promise<TrainingData> {
  if (isLabelled(dataset)) {
    const { train, validation, record } = await openLabelled(dataset, expected);
    return { images: train, validation, record };
  }
  const { input, classes } = expected;
  const all = await readIdxImages(dataset.folder, dataset.split);
  if (imageShape(all) !== input.join('x'))
    throw new HildaError(
      'SPEC_INVALID',
      `the space ${space.id} takes ${input.join('x')}, the images are ${imageShape(all)}`,
    );
  if (all.labels.some((label) => label >= classes))
    throw new HildaError('SPEC_INVALID', `the space ${space.id} has ${classes} classes, the images more`);
  const trained = all.count - dataset.heldOut;
  if (trained < 0) throw new HildaError('SPEC_INVALID', `dataset.heldOut: more than the ${all.count} images`);
  return {
    images: sliceImages(all, 0, trained),
    validation: sliceImages(all, all.count - dataset.validation, dataset.validation),
    record: await idxRecord(all, dataset, { classes, profilesDir }),
  };
}

/** The content of the space file that a specification names or holds. Throws SPEC_INVALID. */
export const spaceFile = (space: TrainSpec['space'], profilesDir: string): unknown =>
  typeof space === 'string' ? readSpaceFile(space, profilesDir) : space;

/** Throws SPEC_INVALID. */
export function readSpaceFile(id: string, profilesDir: string): unknown {
  try {
    return JSON.parse(readFileSync(join(profilesDir, 'spaces', `${id}.json`), 'utf8'));
  } catch (cause) {
    throw new HildaError('SPEC_INVALID', `space: cannot read the file of the space ${id}`, { cause });
  }
}
