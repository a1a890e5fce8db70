import { extname } from 'node:path';
import type { ArraySource, StoredArray } from './contract.js';
import { convertElements, type NumericType } from './elements.js';
import { examplesOf, shown } from './examples.js';
import { opened } from './file-bytes.js';
import { filesAsExamples, isFolder, listFiles, namesIn } from './files.js';
import { idxFile, openIdx } from './idx.js';
import { type ImageOptions, imageFile, openImages } from './images.js';
import { invalid } from './invalid.js';
import { readJsonArrays } from './json-arrays.js';
import { openNpy } from './npy.js';
import { openNpz } from './npz.js';
import { rawArray } from './raw.js';
import { openSounds, type SoundOptions } from './sounds.js';
import { wavFile } from './wav.js';

export interface OpenOptions {
  /** Shape of one example, batch axis included; default: all axes of the array but the first. */
  readonly dims?: readonly number[];
  /** Element type of the answer; default: the file's own. Values must keep what they are: see `convertElements`. */
  readonly as?: NumericType;
  /** Which array of a .npz or of a JSON object; default: the only one. */
  readonly array?: string;
  /** Element type of a file without one (.bin, .raw); default float32. */
  readonly rawType?: NumericType;
  /** Size, channels and layout come from `dims` where they are left out. */
  readonly images?: ImageOptions;
  readonly sounds?: SoundOptions;
  /** Let NaN and infinities pass; default: they are DATA_INVALID. */
  readonly anyValue?: boolean;
}

const npyFile = /\.npy$/i;

/**
 * Opens examples by the name of their file: .npy, .npz, .json, .bin, .raw and .f32 (no header), IDX, PNG, JPEG, WAV; or
 * a folder of images, of WAV or of .npy files, one example each, in the order of their names. Throws NOT_FOUND,
 * DATA_INVALID.
 */
export async function openArrays(path: string, options: OpenOptions = {}): Promise<ArraySource> {
  const source = await openByName(path, options);
  return options.as === undefined && options.anyValue ? source : checked(source, options);
}

async function openByName(path: string, options: OpenOptions): Promise<ArraySource> {
  if (await isFolder(path)) return openFolder(path, options);
  if (imageFile.test(path)) return images(path, [path], options);
  if (wavFile.test(path)) return sounds(path, [path], options);
  const array = await openStored(path, options);
  try {
    return examplesOf(array, options.dims);
  } catch (error) {
    await array.close();
    throw error;
  }
}

/** A whole array by the name of its file. Throws NOT_FOUND, DATA_INVALID. */
export async function openStored(path: string, { array, rawType }: OpenOptions = {}): Promise<StoredArray> {
  if (idxFile.test(path)) return openIdx(path);
  switch (extname(path).toLowerCase()) {
    case '.npy':
      return opened(path, openNpy);
    case '.npz': {
      const archive = await openNpz(path);
      try {
        return await archive.open(array ?? theOnly(archive.names, path));
      } catch (error) {
        await archive.close();
        throw error;
      }
    }
    case '.json': {
      const json = await readJsonArrays(path);
      if (json.kind === 'one') return json.array;
      const name = array ?? theOnly([...json.arrays.keys()], path);
      const named = json.arrays.get(name);
      if (named) return named;
      throw invalid(`${path} has no array "${name}"; it has ${[...json.arrays.keys()].join(', ')}`);
    }
    case '.f32':
      return opened(path, (bytes) => rawArray(bytes, 'float32'));
    case '.bin':
    case '.raw':
      return opened(path, (bytes) => rawArray(bytes, rawType ?? 'float32'));
    default:
      throw invalid(`${path}: no reader for this kind of file`, {
        hint: 'Read are .npy, .npz, .json, .bin, .raw, .f32, IDX, PNG, JPEG and WAV files, and folders.',
      });
  }
}

function theOnly(names: readonly string[], path: string): string {
  if (names.length === 1) return names[0] as string;
  throw invalid(`${path} holds several arrays: ${names.join(', ')}`, { hint: 'Say which one is meant.' });
}

async function openFolder(path: string, options: OpenOptions): Promise<ArraySource> {
  const names = await namesIn(path);
  const kinds = [
    { test: imageFile, what: 'images', open: images },
    { test: wavFile, what: 'recordings', open: sounds },
    { test: npyFile, what: 'arrays', open: arrays },
  ];
  const found = kinds.filter(({ test }) => names.some((name) => !name.startsWith('.') && test.test(name)));
  if (found.length > 1) throw invalid(`${path} holds ${found.map(({ what }) => what).join(' and ')}`);
  const { test, open } = found[0] ?? { test: imageFile, open: images };
  return open(path, await listFiles(path, test, 'PNG, JPEG, WAV or .npy file'), options);
}

/** .npy files of one example each. */
async function arrays(
  name: string,
  paths: readonly string[],
  { dims, array: _, ...options }: OpenOptions,
): Promise<ArraySource> {
  const one = async (path: string, needed?: readonly number[]): Promise<ArraySource> => {
    const source = await openArrays(path, { ...options, ...(needed && { dims: needed }), as: 'float32' });
    if (source.count === 1 || !needed) return source;
    await source.close();
    throw invalid(`${path} holds ${source.count} examples of ${shown(needed)}, not one`);
  };
  const first = dims ?? (await shapeOf(paths[0] as string));
  return filesAsExamples(name, paths, first, async (path) => {
    const source = await one(path, first);
    try {
      return (await source.examples(0, 1)) as Float32Array;
    } finally {
      await source.close();
    }
  });
}

async function shapeOf(path: string): Promise<readonly number[]> {
  const array = await openStored(path);
  await array.close();
  return array.dims;
}

async function images(name: string, paths: readonly string[], options: OpenOptions): Promise<ArraySource> {
  const { dims } = options;
  const wanted = dims ? { ...imageShape(dims, name, options.images), ...options.images } : options.images;
  return fitting(await openImages(name, paths, wanted), dims);
}

async function sounds(name: string, paths: readonly string[], options: OpenOptions): Promise<ArraySource> {
  const { dims } = options;
  const wanted =
    dims && !options.sounds?.mel ? { samples: dims.at(-1) as number, ...options.sounds } : options.sounds;
  return fitting(await openSounds(name, paths, wanted), dims);
}

/** The same examples under the shape that was asked for. */
function fitting(source: ArraySource, dims: readonly number[] | undefined): ArraySource {
  if (!dims) return source;
  const product = (list: readonly number[]): string => list.filter((dim) => dim !== 1).join(' x ');
  if (product(source.dims) !== product(dims))
    throw invalid(`${source.name} gives ${shown(source.dims)}; needed is ${shown(dims)}`);
  return { ...source, dims };
}

/** Height, width, channels and layout of an image input. Throws DATA_INVALID where the shape is none, or either layout. */
function imageShape(
  dims: readonly number[],
  name: string,
  given: ImageOptions = {},
): {
  readonly size: { height: number; width: number };
  readonly channels: 1 | 3;
  readonly layout: 'NCHW' | 'NHWC';
} {
  const [a, b, c] = dims.slice(-3) as [number, number, number];
  const batch = dims.slice(0, -3);
  const isCount = (value: number): boolean => value === 1 || value === 3;
  const [first, last] = [isCount(a) && given.layout !== 'NHWC', isCount(c) && given.layout !== 'NCHW'];
  if (dims.length < 3 || batch.some((dim) => dim !== 1) || (!first && !last))
    throw invalid(`${name}: images do not fit an input of ${shown(dims)}`, {
      hint: 'An image input is 1 x C x H x W or 1 x H x W x C, with 1 or 3 channels.',
    });
  if (first && last)
    throw invalid(`${name}: ${shown(dims)} may be NCHW or NHWC`, { hint: 'State the layout.' });
  return first
    ? { size: { height: b, width: c }, channels: a === 1 ? 1 : 3, layout: 'NCHW' }
    : { size: { height: a, width: b }, channels: c === 1 ? 1 : 3, layout: 'NHWC' };
}

/** Examples that are refused where they hold NaN or an infinity, in the element type that was asked for. */
function checked(source: ArraySource, { as = source.dtype, anyValue }: OpenOptions): ArraySource {
  return {
    ...source,
    dtype: as,
    async examples(from, to) {
      const elements = await source.examples(from, to);
      const isFloat = elements instanceof Float32Array || elements instanceof Float64Array;
      if (!anyValue && isFloat) {
        const at = elements.findIndex((value: number) => !Number.isFinite(value));
        if (at >= 0) {
          const size = elements.length / (to - from);
          throw invalid(
            `${source.name}: element ${at % size} of example ${from + Math.floor(at / size)} is ${elements[at]}`,
          );
        }
      }
      return convertElements(elements, source.dtype, as, source.name);
    },
  };
}
