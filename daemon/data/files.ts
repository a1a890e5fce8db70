import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HildaError } from '../core/errors.js';
import { elementCount } from '../network/graph.js';
import type { ArraySource } from './contract.js';
import { invalid } from './invalid.js';

/** Other forms of pictures and sound: leaving them out in silence would change a data set. */
const foreign = /\.(webp|gif|bmp|tiff?|avif|heic|jp2|ppm|pgm|mp3|flac|ogg|m4a|aiff?)$/i;

const maxFiles = 1_000_000;

/**
 * Paths of a folder's files whose names match `wanted`, in the order of their names' code units; hidden files and those of
 * other kinds are left out. Throws NOT_FOUND; DATA_INVALID where none is left and for pictures and sound in another format.
 */
export async function listFiles(folder: string, wanted: RegExp, what: string): Promise<string[]> {
  const names = (await namesIn(folder)).filter((name) => !name.startsWith('.'));
  const other = names.find((name) => foreign.test(name));
  if (other !== undefined)
    throw invalid(`${join(folder, other)} is in a format that is not read`, {
      hint: 'Convert pictures to PNG or JPEG and sound to WAV, or move the file elsewhere.',
    });
  const paths = names.filter((name) => wanted.test(name)).map((name) => join(folder, name));
  if (paths.length === 0) throw invalid(`${folder} holds no ${what}`);
  if (paths.length > maxFiles) throw invalid(`${folder} holds more than ${maxFiles} files`);
  return paths;
}

/** Throws NOT_FOUND where nothing is there. */
export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (cause) {
    throw new HildaError('NOT_FOUND', `${path} cannot be read`, { cause, hint: 'Check the path.' });
  }
}

/** Names in a folder, sorted by their code units. Throws NOT_FOUND. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort();
  } catch (cause) {
    throw new HildaError('NOT_FOUND', `the folder ${folder} cannot be read`, {
      cause,
      hint: 'Check the path.',
    });
  }
}

/** One example a file, read when it is asked for. */
export const filesAsExamples = (
  name: string,
  paths: readonly string[],
  dims: readonly number[],
  read: (path: string) => Promise<Float32Array>,
): ArraySource => ({
  name,
  count: paths.length,
  dims,
  dtype: 'float32',
  async examples(from, to) {
    const size = elementCount(dims);
    const values = new Float32Array((to - from) * size);
    for (let i = from; i < to; i++) values.set(await read(paths[i] as string), (i - from) * size);
    return values;
  },
  async close() {},
});
