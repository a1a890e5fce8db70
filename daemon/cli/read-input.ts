import { readFile } from 'node:fs/promises';
import { HildaError } from '../core/errors.js';

/** Reads a file that the user named; throws NOT_FOUND where it cannot be read. */
export async function readInput(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new HildaError('NOT_FOUND', `${path} cannot be read (${code ?? String(cause)})`, {
      cause,
      hint: 'Check the path.',
    });
  }
}
