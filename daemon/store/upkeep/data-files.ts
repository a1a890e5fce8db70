import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { FileSum } from '../file-sum.js';

/** A file of a data folder, by its path from there with `/`, and what it holds. */
export interface DataFile extends FileSum {
  readonly path: string;
}

export const databaseName = 'hilda.sqlite';

/** What is made anew at each start, or serves requests alone; the database has a way of its own. */
const passing = /^(hilda\.(sqlite|lock)([-.].*)?|tokens?|uploads|reading(-data)?|.*\.tmp)$/;

/** Paths of the regular files that a data folder is made of beside its database, sorted. Links are not followed. */
export async function dataFiles(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter(isKept)
    .sort();
}

/** Whether a path of a data folder, other than the database's, belongs to what is kept. */
export const isKept = (path: string): boolean =>
  !passing.test(path.split('/')[0] as string) && !path.endsWith('.tmp');

/** Which blob a path names: blobs lie under their own sum. */
export const blobOf = (path: string): string | undefined =>
  /^blobs\/[0-9a-f]{2}\/[0-9a-f]{2}\/([0-9a-f]{64})$/.exec(path)?.[1];
