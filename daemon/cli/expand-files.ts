import { readdir, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fits } from '../benchmarks/suites/suite.js';
import { HildaError } from '../core/errors.js';

/** Entries that one pattern may look at. */
const mostEntries = 100_000;

/**
 * The files that a pattern means, sorted: `*` and `?` stand for any text and one character of a name, `**` for any folders.
 * Names that begin with a dot are named by themselves alone. Throws NOT_FOUND where there is no such file.
 */
export async function expandFiles(pattern: string, folder: string): Promise<string[]> {
  const path = resolve(folder, pattern);
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  if (isThere) return [path];
  const segments = path.split('/').filter((part) => part !== '');
  const found = new Set<string>();
  const budget = { left: mostEntries };
  await walk('/', segments, found, budget);
  if (found.size > 0) return [...found].sort();
  throw new HildaError('NOT_FOUND', `no file fits ${pattern}`, { hint: `Looked in ${resolve(folder)}.` });
}

async function walk(
  at: string,
  [segment, ...rest]: readonly string[],
  found: Set<string>,
  budget: { left: number },
): Promise<void> {
  if (segment === undefined) {
    found.add(at);
    return;
  }
  if (!/[*?]/.test(segment)) {
    const next = join(at, segment);
    const isThere = await stat(next).then(
      () => true,
      () => false,
    );
    if (isThere) await walk(next, rest, found, budget);
    return;
  }
  if (segment === '**') await walk(at, rest, found, budget);
  const entries = await readdir(at, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) {
    if (--budget.left < 0)
      throw new HildaError('SPEC_INVALID', `a pattern of files looks at more than ${mostEntries} entries`);
    const { name } = entry;
    if (name.startsWith('.') && !segment.startsWith('.')) continue;
    // Links to folders are not followed: a circle of them has no end.
    if (segment === '**') {
      if (entry.isDirectory()) await walk(join(at, name), [segment, ...rest], found, budget);
    } else if (fitsSegment(name, segment)) await walk(join(at, name), rest, found, budget);
  }
}

/** `?` by trying each place where it may stand: names are short. */
const fitsSegment = (name: string, segment: string): boolean => {
  if (!segment.includes('?')) return fits(name, [segment]);
  const rows = [...segment].reduce<boolean[]>(
    (reached, mark) =>
      mark === '*'
        ? reached.map((_, i) => reached.slice(0, i + 1).includes(true))
        : [false, ...[...name].map((one, i) => (reached[i] ?? false) && (mark === '?' || mark === one))],
    [true, ...[...name].map(() => false)],
  );
  return rows.at(-1) ?? false;
};
