import { rmSync, statSync } from 'node:fs';
import { readdir, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../core/clock.js';
import type { BlobId } from '../core/ids.js';
import type { BlobStore } from './contract.js';
import { blobPath, fileBlobs } from './file-blobs.js';

/** How long an upload stays after its last use. */
export const uploadsStayMs = 24 * 60 * 60 * 1000;
const sweepEveryMs = 60 * 60 * 1000;

/**
 * Blobs that serve requests and that nothing stored refers to: what inputs hold, calibration data, ranges. Each is removed
 * a day after it was last put, asked for or read.
 */
export async function fileUploads(folder: string, clock: Clock): Promise<BlobStore> {
  const blobs = fileBlobs(folder);
  let sweptAtMs = Number.NEGATIVE_INFINITY;

  /** Whether the upload is there; its time of last use is now. */
  const touch = async (id: BlobId): Promise<boolean> => {
    const path = blobPath(folder, id);
    const nowS = clock.nowMs() / 1000;
    return utimes(path, nowS, nowS).then(
      () => true,
      () => false,
    );
  };
  const sweep = async (): Promise<void> => {
    if (clock.nowMs() - sweptAtMs < sweepEveryMs) return;
    sweptAtMs = clock.nowMs();
    const names = await readdir(folder, { recursive: true }).catch(() => []);
    for (const name of names) removeUnused(join(folder, name), sweptAtMs - uploadsStayMs);
  };
  await sweep();

  return {
    has: touch,
    put: async (bytes) => {
      await sweep();
      const id = await blobs.put(bytes);
      // An old upload of the same bytes may have been removed in the meantime.
      if (await touch(id)) return id;
      await blobs.put(bytes);
      await touch(id);
      return id;
    },
    get: async (id) => {
      await touch(id);
      return blobs.get(id);
    },
  };
}

/** Looks and removes in one step, so that no use of the upload comes between. */
function removeUnused(path: string, beforeMs: number): void {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() && found.mtimeMs < beforeMs) rmSync(path, { force: true });
}
