import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';
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

/** Reads a specification, YAML or JSON. Throws NOT_FOUND, and SPEC_INVALID where it is neither. */
export async function readSpec(path: string): Promise<unknown> {
  const text = (await readInput(path)).toString('utf8');
  try {
    return parse(text);
  } catch (cause) {
    // Besides its own errors the parser throws others, e.g. ReferenceError for an alias of nothing.
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new HildaError('SPEC_INVALID', `${path} is not YAML: ${why}`, { cause });
  }
}
