import { mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { HildaError } from '../../core/errors.js';
import { readWholeFile } from '../../data/file-bytes.js';
import { readSafetensors, type TensorFile, writeSafetensors } from './safetensors.js';

/** Of the states of a training. */
const maxFileBytes = 2 ** 31 - 1;

/** Writes the whole file or leaves the old one: a power cut in between loses nothing. */
export async function writeTensorFile(path: string, file: TensorFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = `${path}.tmp`;
  const handle = await open(temporary, 'w');
  try {
    await handle.writeFile(writeSafetensors(file));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
}

/** Undefined when there is no such file. Throws SUPERNET_INVALID for a damaged one. */
export async function readTensorFile(path: string): Promise<TensorFile | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readWholeFile(path, maxFileBytes);
  } catch (cause) {
    if (((cause as Error).cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined;
    throw new HildaError('SUPERNET_INVALID', `cannot read ${path}`, { cause });
  }
  return readSafetensors(bytes);
}
