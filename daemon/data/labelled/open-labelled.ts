import { sha256Hex } from '../../core/hash.js';
import { canonicalJson, type Json } from '../../core/json.js';
import { shuffled, Xoshiro128 } from '../../core/rng.js';
import { invalid } from '../invalid.js';
import type { DataRecord } from './data-record.js';
import { type LabelledImages, pickImages } from './labelled-images.js';
import { measured, type Normalisation, normalise } from './normalise.js';
import { type Expected, type RawParts, readRawParts } from './raw-parts.js';
import type { LabelledSpec } from './spec.js';
import { stratifiedSplit } from './split.js';

/** A data set, read, split and normalised. */
export interface LabelledData {
  readonly record: DataRecord;
  readonly train: LabelledImages;
  /** Some of `train`. */
  readonly calibration: LabelledImages;
  readonly validation: LabelledImages;
}

/**
 * Reads a person's labelled data for a space. `normalisation`, of weights that were trained before, goes before the data's
 * own. Throws NOT_FOUND, DATA_INVALID.
 */
export async function openLabelled(
  spec: LabelledSpec,
  expected: Expected & { readonly normalisation?: Normalisation },
): Promise<LabelledData> {
  const raw = await readRawParts(spec, expected);
  const { train, validation } = splitOf(raw, spec);
  const normalisation = expected.normalisation ?? spec.normalise ?? measured(train, raw.name);
  const [channels, height, width] = expected.input;
  if (normalisation.mean.length !== channels || normalisation.deviation.length !== channels)
    throw invalid(`${raw.name}: normalise needs one mean and one deviation for each of ${channels} channels`);
  const record: DataRecord = {
    identity: `sha256:${sha256Hex(canonicalJson(identityOf(spec, raw, expected)))}`,
    kind: spec.kind,
    name: raw.name,
    input: [channels, height, width],
    classes: expected.classes,
    classNames: raw.classNames === null ? null : [...raw.classNames],
    trained: train.count,
    validation: validation.count,
    normalisation: { mean: [...normalisation.mean], deviation: [...normalisation.deviation] },
    sound: spec.kind === 'sounds' ? { mel: spec.mel, samples: spec.samples } : null,
  };
  for (const part of [train, validation]) normalise(part, normalisation);
  const order = shuffled(
    Xoshiro128.fromSeed(spec.seed),
    Array.from({ length: train.count }, (_, i) => i),
  );
  return { record, train, validation, calibration: pickImages(train, order.slice(0, spec.calibration)) };
}

function splitOf(
  { train, validation, classNames }: RawParts,
  spec: LabelledSpec,
): { readonly train: LabelledImages; readonly validation: LabelledImages } {
  if (validation) return { train, validation };
  const nameOf = (label: number): string => classNames?.[label] ?? `${label}`;
  const split = stratifiedSplit(train.labels, spec.validation, spec.seed, nameOf);
  return { train: pickImages(train, split.train), validation: pickImages(train, split.validation) };
}

/** All that decides which numbers are trained on and which are not. */
const identityOf = (
  spec: LabelledSpec,
  { files, validation }: RawParts,
  { input, classes }: Expected,
): Json => ({
  kind: spec.kind,
  files,
  input: [...input],
  classes,
  split: validation ? 'given' : { share: spec.validation, seed: spec.seed },
  reading:
    spec.kind === 'images'
      ? { resize: spec.resize }
      : spec.kind === 'sounds'
        ? { mel: spec.mel, samples: spec.samples }
        : { layout: spec.layout },
});
