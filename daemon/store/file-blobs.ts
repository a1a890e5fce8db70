import { createHash } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { HildaError } from '../core/errors.js';
import type { BlobId } from '../core/ids.js';
import { struckRead } from '../faults/edges/file.js';
import type { BlobStore } from './contract.js';
import { fileSum } from './file-sum.js';
import { mapStoreError } from './map-errors.js';
import { writeWhole } from './write-whole.js';

const idPattern = /^[0-9a-f]{64}$/;

/** Where a blob lies: the fan-out keeps folders small. Throws NOT_FOUND for what is no id. */
export function blobPath(folder: string, id: BlobId): string {
  // The id may come from a request and becomes a path.
  if (!idPattern.test(id)) throw new HildaError('NOT_FOUND', `${id} is no blob id`);
  return join(folder, id.slice(0, 2), id.slice(2, 4), id);
}

/** Blobs as files, `<folder>/ab/cd/abcd...`. A file is complete or absent. */
export function fileBlobs(folder: string): BlobStore {
  const pathOf = (id: BlobId): string => blobPath(folder, id);
  const has = async (id: BlobId): Promise<boolean> =>
    access(pathOf(id)).then(
      () => true,
      () => false,
    );
  return {
    has,

    put: async (bytes) => {
      const id = sha256(bytes);
      // What is damaged is replaced by what is whole.
      if (await isWhole(pathOf(id), id)) return id;
      try {
        await writeWhole(pathOf(id), bytes);
      } catch (thrown) {
        throw mapStoreError(thrown, `storing blob ${id}`);
      }
      return id;
    },

    get: async (id) => {
      let bytes: Uint8Array;
      try {
        bytes = await struckRead(pathOf(id), (path) => readFile(path));
      } catch (thrown) {
        if ((thrown as { code?: string }).code === 'ENOENT')
          throw new HildaError('NOT_FOUND', `there is no blob ${id}`, { cause: thrown });
        throw mapStoreError(thrown, `reading blob ${id}`);
      }
      if (sha256(bytes) !== id) {
        throw new HildaError('STORE_CORRUPT', `blob ${id} is damaged`, {
          hint: 'Store its content again: that replaces it.',
        });
      }
      return bytes;
    },
  };
}

/** Whether a file is there and is what its name says. */
const isWhole = (path: string, id: BlobId): Promise<boolean> =>
  fileSum(path).then(
    ({ sha256 }) => sha256 === id,
    () => false,
  );

const sha256 = (bytes: Uint8Array): BlobId => createHash('sha256').update(bytes).digest('hex') as BlobId;
