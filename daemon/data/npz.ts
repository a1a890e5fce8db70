import type { StoredArray } from './contract.js';
import { opened } from './file-bytes.js';
import { invalid } from './invalid.js';
import { openNpy } from './npy.js';
import { openZipEntry, readZipEntries, type ZipEntry } from './zip.js';

/** The arrays of a numpy archive, each opened when it is asked for. */
export interface ArrayArchive {
  readonly path: string;
  readonly names: readonly string[];
  /** Throws DATA_INVALID, also naming the arrays there are where `name` is none of them. */
  open(name: string): Promise<StoredArray>;
  close(): Promise<void>;
}

/** Opens a .npz file, as numpy.savez and numpy.savez_compressed write it. Throws NOT_FOUND, DATA_INVALID. */
export const openNpz = (path: string): Promise<ArrayArchive> =>
  opened(path, async (archive) => {
    const entries = new Map<string, ZipEntry>();
    for (const [name, entry] of await readZipEntries(archive))
      if (name.endsWith('.npy')) entries.set(name.slice(0, -4), entry);
    if (entries.size === 0) throw invalid(`${path} holds no array: none of its entries ends in .npy`);
    return {
      path,
      names: [...entries.keys()],
      async open(name) {
        const entry = entries.get(name);
        if (!entry) throw invalid(`${path} has no array "${name}"; it has ${[...entries.keys()].join(', ')}`);
        return openNpy(await openZipEntry(archive, entry));
      },
      close: () => archive.close(),
    };
  });
