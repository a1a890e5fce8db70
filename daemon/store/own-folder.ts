import { chmod, lstat, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { HildaError } from '../core/errors.js';

/**
 * Makes a folder where it is missing, and the user's alone where it is theirs. Throws USAGE_INVALID for one of another user, who
 * could put other files in the place of ours.
 */
export async function ownFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const { mode, uid } = await stat(folder);
  const own = process.getuid?.();
  if (own !== undefined && uid !== own && uid !== 0)
    throw new HildaError('USAGE_INVALID', `${folder} belongs to another user (${uid})`, {
      hint: 'Give it to the account that runs the daemon (chown), or name another folder with --data.',
    });
  const isShared = (mode & 0o1000) !== 0 || dirname(resolve(folder)) === resolve(folder);
  // A place that others use too, such as /tmp, stays as it is, and so does one of root.
  if ((mode & 0o077) !== 0 && !isShared && uid === process.getuid?.()) await chmod(folder, 0o700);
}

/** Files that an earlier version wrote for others to read. */
export async function ownFiles(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const path = join(folder, name);
    const found = await lstat(path).catch(() => null);
    if (found?.isFile() && (found.mode & 0o077) !== 0 && found.uid === process.getuid?.())
      await chmod(path, 0o600);
  }
}

/**
 * Makes a file by `fill`, which writes to the path that it is given; the file has its name once it is whole and on the
 * disk. A part of it that an earlier try left is removed.
 */
export async function madeWhole(path: string, fill: (path: string) => Promise<void>): Promise<void> {
  const unready = `${path}.new`;
  await rm(unready, { force: true });
  await (await open(unready, 'wx', 0o600)).close();
  await fill(unready);
  await rename(unready, path);
  // The name is on the disk once the folder is. Not every system can do that.
  const folder = await open(dirname(path), 'r').catch(() => null);
  await folder?.sync().catch(() => {});
  await folder?.close();
}
