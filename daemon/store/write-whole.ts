import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { struckWrite } from '../faults/edges/file.js';

/**
 * Writes a file (mode 0600) beside its place first, and on the disk before it gets its name: a crash or a full disk leaves
 * the former file or the new one, never a part. Throws what the file system throws.
 */
export async function writeWhole(path: string, content: Uint8Array | string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const arriving = await struckWrite(path, content);
    if (arriving === null) return;
    const file = await open(temporary, 'wx', 0o600);
    try {
      await file.writeFile(arriving);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (thrown) {
    await rm(temporary, { force: true });
    throw thrown;
  }
}
