import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HildaError } from '../core/errors.js';
import type { ValueInfo } from '../network/graph.js';
import type { Space } from '../search/spaces/contract.js';
import { type LabelledImages, readIdxImages, sliceImages } from './idx-images.js';
import { oneArchitecture } from './one-architecture.js';
import { openSpace } from './open-space.js';
import type { TrainSpec } from './spec.js';

/** What a specification names, read and checked. */
export interface TrainingParts {
  readonly space: Space;
  readonly images: LabelledImages;
  readonly validation: LabelledImages;
  readonly classes: number;
}

/** Throws SPEC_INVALID, SPACE_INVALID, ARCHITECTURE_INVALID, DATASET_MISSING. */
export function openTraining(
  spec: Pick<TrainSpec, 'space' | 'dataset' | 'batch'> & {
    readonly architecture?: TrainSpec['architecture'];
  },
  profilesDir: string,
): TrainingParts {
  const whole = openSpace(readSpaceFile(spec.space, profilesDir), profilesDir);
  if (whole.formats)
    throw new HildaError(
      'SPEC_INVALID',
      `space: ${whole.id} adds number formats to ${whole.formats.base.id}`,
      {
        hint: `Train ${whole.formats.base.id}: its super-network serves both.`,
      },
    );
  const space = spec.architecture ? oneArchitecture(whole, spec.architecture) : whole;
  const all = readIdxImages(spec.dataset.folder, spec.dataset.split);
  const trained = all.count - spec.dataset.heldOut;
  if (trained < spec.batch)
    throw new HildaError('SPEC_INVALID', `dataset.heldOut: ${trained} images are left, fewer than a batch`);
  const network = space.network(space.seeds?.().at(-1) ?? []);
  const [, channels, height, width] = (network.inputs[0] as ValueInfo).dims;
  if (channels !== 1 || height !== all.height || width !== all.width) {
    throw new HildaError(
      'SPEC_INVALID',
      `the space ${space.id} takes ${channels}x${height}x${width}, the images are 1x${all.height}x${all.width}`,
    );
  }
  const classes = (network.outputs[0] as ValueInfo).dims[1] as number;
  if (all.labels.some((label) => label >= classes))
    throw new HildaError('SPEC_INVALID', `the space ${space.id} has ${classes} classes, the images more`);
  const { validation } = spec.dataset;
  return {
    space,
    images: sliceImages(all, 0, trained),
    validation: sliceImages(all, all.count - validation, validation),
    classes,
  };
}

/** Throws SPEC_INVALID. */
export function readSpaceFile(id: string, profilesDir: string): unknown {
  try {
    return JSON.parse(readFileSync(join(profilesDir, 'spaces', `${id}.json`), 'utf8'));
  } catch (cause) {
    throw new HildaError('SPEC_INVALID', `space: cannot read the file of the space ${id}`, { cause });
  }
}
