import { basename } from 'node:path';
import type { Json } from '../../core/json.js';
import type { ArraySource } from '../contract.js';
import { sameBut1, shown } from '../examples.js';
import { imageFile, openImages } from '../images.js';
import { invalid } from '../invalid.js';
import { openNpz } from '../npz.js';
import { type OpenOptions, openArrays } from '../open-arrays.js';
import { openSounds } from '../sounds.js';
import { wavFile } from '../wav.js';
import { listClassFolders } from './class-folders.js';
import { hashFile } from './hash-file.js';
import type { LabelledImages } from './labelled-images.js';
import type { LabelledSpec } from './spec.js';

/** Examples before normalisation. */
export interface RawParts {
  readonly name: string;
  readonly train: LabelledImages;
  /** Undefined where the data has no such part of its own. */
  readonly validation: LabelledImages | undefined;
  readonly classNames: readonly string[] | null;
  /** What the identity is taken from: each file's place and SHA-256. */
  readonly files: Json;
}

/** What a space asks of its data. */
export interface Expected {
  /** Channels, height, width. */
  readonly input: readonly [number, number, number];
  readonly classes: number;
}

type Of<K extends LabelledSpec['kind']> = Extract<LabelledSpec, { kind: K }>;

/** All examples lie in memory while a network trains. */
const maxTrainingBytes = 4 * 2 ** 30;

/** Reads a data set whole. Throws NOT_FOUND, and DATA_INVALID where a file is damaged or does not fit the space. */
export async function readRawParts(spec: LabelledSpec, expected: Expected): Promise<RawParts> {
  switch (spec.kind) {
    case 'images':
      return fromFolders(spec, expected, imageFile, 'PNG or JPEG file', (paths) =>
        openPictures(spec, expected, paths),
      );
    case 'sounds':
      return fromFolders(spec, expected, wavFile, 'WAV file', (paths) =>
        openSounds(spec.folder, paths, { mel: spec.mel, samples: spec.samples }),
      );
    case 'arrays':
      return fromArrays(spec, expected);
  }
}

function openPictures(
  { folder, resize }: Of<'images'>,
  { input: [channels, height, width] }: Expected,
  paths: readonly string[],
): Promise<ArraySource> {
  if (channels !== 1 && channels !== 3)
    throw invalid(`${folder}: the space takes ${channels} channels, images have 1 or 3`);
  return openImages(folder, paths, { channels, ...(resize && { size: { height, width } }) });
}

async function fromFolders(
  { folder }: { readonly folder: string },
  expected: Expected,
  wanted: RegExp,
  what: string,
  open: (paths: readonly string[]) => Promise<ArraySource>,
): Promise<RawParts> {
  const { classes, train, validation } = await listClassFolders(folder, wanted, what);
  if (classes.length !== expected.classes)
    throw invalid(
      `${folder} holds ${classes.length} classes (${classes.slice(0, 8).join(', ')}), the space has ${expected.classes}`,
    );
  const part = async (files: typeof train): Promise<LabelledImages> => {
    const source = await open(files.map(({ path }) => path));
    return gathered(
      source,
      Uint8Array.from(files, ({ label }) => label),
      expected,
      'NCHW',
    );
  };
  const hashes = [];
  for (const { path, relative } of [...train, ...(validation ?? [])])
    hashes.push([relative, await hashFile(path)]);
  return {
    name: basename(folder),
    train: await part(train),
    validation: validation && (await part(validation)),
    classNames: classes,
    files: hashes,
  };
}

async function fromArrays(spec: Of<'arrays'>, expected: Expected): Promise<RawParts> {
  const { x, y, held, files } = await arraysOf(spec);
  const [channels, height, width] = expected.input;
  const dims = spec.layout === 'NCHW' ? [1, channels, height, width] : [1, height, width, channels];
  const part = async (examples: Named, labels: Named): Promise<LabelledImages> => {
    const source = await openArrays(examples.path, { ...named(examples), dims, as: 'float32' });
    try {
      return await gathered(source, await labelsOf(labels, source, expected.classes), expected, spec.layout);
    } finally {
      await source.close();
    }
  };
  return {
    name: basename(x.path),
    train: await part(x, y),
    validation: held && (await part(held.x, held.y)),
    classNames: null,
    files: await Promise.all(files.map(hashFile)),
  };
}

interface Named {
  readonly path: string;
  readonly array?: string;
}

const named = ({ array }: Named): OpenOptions => (array === undefined ? {} : { array });

/** Which arrays hold what; `files` each once. */
async function arraysOf({ file, x, y, xVal, yVal }: Of<'arrays'>): Promise<{
  readonly x: Named;
  readonly y: Named;
  readonly held: { readonly x: Named; readonly y: Named } | undefined;
  readonly files: readonly string[];
}> {
  if (file !== undefined) {
    if (x !== undefined || y !== undefined || xVal !== undefined || yVal !== undefined)
      throw invalid('arrays: either file, or x and y');
    const archive = await openNpz(file);
    const { names } = archive;
    await archive.close();
    const [hasX, hasY] = [names.includes('x_val'), names.includes('y_val')];
    if (hasX !== hasY) throw invalid(`${file} has ${hasX ? 'x_val' : 'y_val'} without the other`);
    const of = (array: string): Named => ({ path: file, array });
    const held = hasX ? { x: of('x_val'), y: of('y_val') } : undefined;
    return { x: of('x'), y: of('y'), held, files: [file] };
  }
  if (x === undefined || y === undefined || (xVal === undefined) !== (yVal === undefined))
    throw invalid('arrays: needed are file, or x and y, and xVal with yVal');
  const held =
    xVal === undefined || yVal === undefined ? undefined : { x: { path: xVal }, y: { path: yVal } };
  const files = [x, y, xVal, yVal].filter((path) => path !== undefined);
  return { x: { path: x }, y: { path: y }, held, files };
}

async function labelsOf(from: Named, examples: ArraySource, classes: number): Promise<Uint8Array> {
  const source = await openArrays(from.path, { ...named(from), dims: [1] });
  try {
    if (source.count !== examples.count)
      throw invalid(
        `${source.name} holds ${source.count} labels, ${examples.name} ${examples.count} examples`,
      );
    const values = await source.examples(0, source.count);
    return Uint8Array.from({ length: values.length }, (_, i) => {
      const label = Number(values[i]);
      if (Number.isInteger(label) && label >= 0 && label < classes) return label;
      throw invalid(`${source.name}: label ${i} is ${label}; the space has the classes 0 to ${classes - 1}`);
    });
  } finally {
    await source.close();
  }
}

/** All examples of a source as [channels, height, width]. */
async function gathered(
  source: ArraySource,
  labels: Uint8Array,
  { input: [channels, height, width] }: Expected,
  layout: 'NCHW' | 'NHWC',
): Promise<LabelledImages> {
  const needed = layout === 'NCHW' ? [channels, height, width] : [height, width, channels];
  if (!sameBut1(source.dims, needed))
    throw invalid(`${source.name} gives ${shown(source.dims)}, the space takes ${shown(needed)}`, {
      hint: 'Bring both together: `resize: true`, other mel parameters, or another input of the space.',
    });
  const size = channels * height * width;
  const bytes = 4 * size * source.count;
  if (bytes > maxTrainingBytes)
    throw invalid(
      `${source.name}: training supports at most ${maxTrainingBytes} bytes; ${source.count} examples of ${shown(needed)} take ${bytes}`,
      { hint: 'Train on smaller images, or on fewer.' },
    );
  const pixels = new Float32Array(size * source.count);
  for (let i = 0; i < source.count; i++) {
    const example = (await source.examples(i, i + 1)) as Float32Array;
    if (layout === 'NCHW') pixels.set(example, i * size);
    else
      for (let p = 0; p < size; p++) {
        const c = p % channels;
        pixels[i * size + (c * size) / channels + (p - c) / channels] = example[p] as number;
      }
  }
  return { count: source.count, channels, height, width, pixels, labels };
}
