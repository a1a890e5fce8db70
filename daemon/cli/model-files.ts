import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { zipSync } from 'fflate';
import { HildaError } from '../core/errors.js';
import type { Graph } from '../network/graph.js';
import { externalConstants } from '../network/inline-external-data.js';
import { isConfined } from '../network/read-tensor.js';
import { isTflite } from '../network/tflite/model.js';
import { isZip, readModel } from '../reading/read-model.js';
import { readInput } from './read-input.js';

/** As the daemon takes models; more is refused before it is read. */
const maxFileBytes = 256 * 2 ** 20;

/**
 * What is uploaded for a model: the file itself, or an archive of it with the files beside it that it names. The same files
 * give the same bytes. A folder stands for the one .onnx file in it. Throws NOT_FOUND, EXTERNAL_DATA_MISSING, ONNX_INVALID
 * for a name that leads out of the model's folder, NETWORK_TOO_LARGE.
 */
export async function modelUpload(path: string): Promise<Uint8Array> {
  const model = await modelIn(path);
  const bytes = await readInput(model);
  const locations = isZip(bytes) || isTflite(bytes) ? [] : externalConstants(bytes).locations;
  if (locations.length === 0) return bytes;
  const named = locations.map((location) => location.replaceAll('\\', '/').replace(/^(\.\/)+/, ''));
  const files: [string, Uint8Array][] = [
    [named.includes('model.onnx') ? 'the-model.onnx' : 'model.onnx', bytes],
  ];
  let total = bytes.length;
  for (const [i, location] of locations.entries()) {
    const file = await besides(model, location);
    total += file.length;
    if (total > maxFileBytes) throw tooLarge(path, total);
    files.push([named[i] as string, file]);
  }
  // Weights do not shrink; a fixed date keeps the bytes, and so the id, the same.
  return zipSync(Object.fromEntries(files), { level: 0, mtime: new Date(Date.UTC(1980, 0, 2)) });
}

/** A model for this process; throws what `modelUpload` and `readModel` throw. */
export const modelAt = async (path: string): Promise<Graph> => readModel(await modelUpload(path));

/** The one model in a folder, or the file itself. */
async function modelIn(path: string): Promise<string> {
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) return path;
  const models = (await readdir(path)).filter((name) => name.toLowerCase().endsWith('.onnx')).sort();
  if (models.length === 1) return join(path, models[0] as string);
  throw new HildaError('NOT_FOUND', `${path} holds ${models.length} .onnx files`, {
    hint: models.length === 0 ? 'Check the path.' : `Name one of them: ${models.slice(0, 5).join(', ')}.`,
  });
}

/** A file that a model names, which must lie within the model's folder once every link is followed. */
async function besides(model: string, location: string): Promise<Uint8Array> {
  const outside = new HildaError(
    'ONNX_INVALID',
    `${model} names a file outside its folder: ${JSON.stringify(location)}`,
    { hint: 'Put the file beside the model, and export the model again.' },
  );
  if (!isConfined(location)) throw outside;
  const folder = await realpath(dirname(model));
  let path: string;
  try {
    path = await realpath(join(folder, location.replaceAll('\\', '/')));
  } catch (cause) {
    throw new HildaError(
      'EXTERNAL_DATA_MISSING',
      `${model} names the file ${location}, which is not beside it`,
      {
        cause,
      },
    );
  }
  const within = relative(folder, path);
  if (within === '' || within === '..' || within.startsWith(`..${sep}`)) throw outside;
  const found = await stat(path);
  if (!found.isFile())
    throw new HildaError('EXTERNAL_DATA_MISSING', `${model} names ${location}, which is no regular file`);
  if (found.size > maxFileBytes) throw tooLarge(path, found.size);
  return readFile(path);
}

const tooLarge = (path: string, bytes: number): HildaError =>
  new HildaError('NETWORK_TOO_LARGE', `${path}: ${bytes} bytes, at most ${maxFileBytes} allowed`, {
    details: { is: bytes, max: maxFileBytes },
  });
