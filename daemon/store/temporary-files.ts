import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** As `writeWhole` and others name what is not whole yet. */
const temporary = /\.[0-9a-f-]{12,36}\.tmp$/;

/**
 * Removes what writers that were killed left half written: temporary files last changed before a time, at which the
 * writers of now had not started. Answers with how many.
 */
export async function collectTemporary(folder: string, beforeMs: number): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  let removed = 0;
  for (const entry of entries) {
    if (!entry.isFile() || !temporary.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    const found = await lstat(path).catch(() => null);
    if (!found || found.mtimeMs >= beforeMs) continue;
    await rm(path, { force: true });
    removed++;
  }
  return removed;
}
