import { lstat, opendir, realpath } from 'node:fs/promises';
import { basename, join, relative, sep } from 'node:path';
import { HildaError } from '../core/errors.js';
import { readInput } from './read-input.js';

/** A file of published figures, as the daemon takes it: its name, within the folder that was named, and its text. */
export interface ImportFile {
  readonly name: string;
  readonly text: string;
}

const mostEntries = 100_000;
const mostFiles = 2000;
/** What one request holds, less its frame. */
const mostBytes = 1_000_000;

/**
 * Reads a file, or a folder of a submission to MLPerf Tiny: its results, and logs of performance where no results lie beside them.
 * Links are not followed. Throws NOT_FOUND, TABLE_INVALID for what is no text, and USAGE_INVALID where there is too much.
 */
export async function readImports(path: string): Promise<ImportFile[]> {
  const found = await lstat(path).catch(() => null);
  if (!found?.isDirectory()) return [{ name: basename(path), text: textOf(await readInput(path), path) }];
  const root = await realpath(path);
  const paths = resultsAmong(await filesIn(root));
  if (paths.length === 0)
    throw new HildaError('NOT_FOUND', `${path} holds no results of MLPerf Tiny`, {
      hint: 'A folder is laid out as SYSTEM/BENCHMARK/performance/results.txt. Name a table by its file.',
    });
  if (paths.length > mostFiles) throw tooMuch(path, `${paths.length} files are more than ${mostFiles}`);
  const files: ImportFile[] = [];
  let bytes = 0;
  for (const one of paths) {
    const content = await readInput(one);
    bytes += content.byteLength;
    if (bytes > mostBytes) throw tooMuch(path, `its results are more than ${mostBytes} bytes`);
    // A folder of one system is named by itself.
    const name = [basename(root), ...relative(root, one).split(sep)].join('/');
    files.push({ name, text: textOf(content, one) });
  }
  return files;
}

async function filesIn(root: string): Promise<string[]> {
  const files: string[] = [];
  let seen = 0;
  for await (const entry of await opendir(root, { recursive: true })) {
    if (++seen > mostEntries) throw tooMuch(root, `it holds more than ${mostEntries} files`);
    if (entry.isFile()) files.push(join(entry.parentPath, entry.name));
  }
  return files.sort();
}

function resultsAmong(files: readonly string[]): string[] {
  const all = new Set(files);
  return files.filter((file) => {
    const [name = '', mode = ''] = file.split(sep).reverse();
    if (name === 'results.txt') return ['performance', 'accuracy', 'energy'].includes(mode);
    if (name !== 'log.txt' && name !== 'performance_log.txt') return false;
    return mode === 'performance' && !all.has(join(file, '..', 'results.txt'));
  });
}

function textOf(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new HildaError('TABLE_INVALID', `${path} is not UTF-8 text`, {
      cause,
      hint: 'Save the table as CSV in UTF-8.',
    });
  }
}

const tooMuch = (path: string, why: string): HildaError =>
  new HildaError('USAGE_INVALID', `${path} is too much at a time: ${why}`, {
    hint: 'Import the folder of one organisation or system.',
  });
