import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { HildaError } from '../core/errors.js';

/**
 * A file that the person who starts the daemon wrote into its folder, as JSON; undefined where there is none. It decides what
 * code runs: one that is no regular file, or that another user wrote or may write, is refused. Throws USAGE_INVALID.
 */
export async function readOwnJson(path: string): Promise<unknown> {
  const refused = (why: string, cause?: unknown): HildaError =>
    new HildaError('USAGE_INVALID', `${path} ${why}`, { cause });
  let text: string;
  try {
    // A pipe without a writer would keep the start waiting.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const found = await file.stat();
      if (!found.isFile()) throw refused('is no regular file');
      const own = process.getuid?.();
      if (own !== undefined && found.uid !== own && found.uid !== 0)
        throw refused(`belongs to another user (${found.uid})`);
      if (process.platform !== 'win32' && (found.mode & 0o002) !== 0)
        throw refused('may be written by everybody: chmod o-w');
      text = await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (thrown) {
    if (thrown instanceof HildaError) throw thrown;
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw refused(`cannot be read: ${(thrown as Error).message}`, thrown);
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw refused(`is no JSON: ${(cause as Error).message}`, cause);
  }
}
