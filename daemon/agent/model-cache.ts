import { readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { asHildaError, HildaError } from '../core/errors.js';
import type { BlobId } from '../core/ids.js';
import { contentHash } from '../devices/content-hash.js';
import { fileBlobs } from '../store/file-blobs.js';
import { isDiskFull, storageFault } from './storage-fault.js';

/** Models by their content, on the disk: each comes over the link once. The least recently used give way. */
export class ModelCache {
  readonly #folder: string;
  readonly #maxBytes: number;

  constructor(folder: string, maxBytes = 4 * 2 ** 30) {
    this.#folder = folder;
    this.#maxBytes = maxBytes;
  }

  async get(sha256: string): Promise<Uint8Array | undefined> {
    const blobs = fileBlobs(this.#folder);
    const id = sha256 as BlobId;
    if (!(await blobs.has(id))) return undefined;
    try {
      const bytes = await blobs.get(id);
      const now = new Date();
      await utimes(this.#path(sha256), now, now);
      return bytes;
    } catch {
      // Damaged on the disk: it is fetched again.
      await rm(this.#path(sha256), { force: true }).catch(() => {});
      return undefined;
    }
  }

  /** Others give way where the disk is full. Throws MESSAGE_INVALID where the bytes are not what their name says, PEER_STORAGE. */
  async put(sha256: string, bytes: Uint8Array): Promise<void> {
    if (contentHash(bytes) !== sha256)
      throw new HildaError('MESSAGE_INVALID', `the model ${sha256} came with other content`);
    const blobs = fileBlobs(this.#folder);
    try {
      await blobs.put(bytes);
    } catch (thrown) {
      if (!isDiskFull(asHildaError(thrown))) throw storageFault(thrown, this.#folder);
      await this.#makeRoom(sha256, 0).catch(() => {});
      await blobs.put(bytes).catch((again: unknown) => {
        throw storageFault(again, this.#folder);
      });
    }
    // What is too much is a matter for the next one as well: this one is here.
    await this.#makeRoom(sha256, this.#maxBytes).catch(() => {});
  }

  #path(sha256: string): string {
    return join(this.#folder, sha256.slice(0, 2), sha256.slice(2, 4), sha256);
  }

  async #makeRoom(newest: string, maxBytes: number): Promise<void> {
    const names = (await readdir(this.#folder, { recursive: true })).filter((name) =>
      /[0-9a-f]{64}$/.test(name),
    );
    const files = await Promise.all(
      names.map(async (name) => ({ name, ...(await stat(join(this.#folder, name))) })),
    );
    files.sort((a, b) => a.mtimeMs - b.mtimeMs);
    let total = files.reduce((sum, { size }) => sum + size, 0);
    for (const { name, size } of files) {
      if (total <= maxBytes) return;
      if (name.endsWith(newest)) continue;
      await rm(join(this.#folder, name), { force: true });
      total -= size;
    }
  }
}
