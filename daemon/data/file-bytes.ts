import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { type FileHandle, open, realpath } from 'node:fs/promises';
import { HildaError } from '../core/errors.js';
import type { ByteSource } from './contract.js';
import { invalid } from './invalid.js';

/** Largest file that is read piece by piece. */
const maxStreamedBytes = 64 * 2 ** 30;
/** Largest file that is read as a whole: one image, one sound, one JSON document. */
const maxWholeBytes = 256 * 2 ** 20;

/**
 * Opens a regular file, links resolved. Throws NOT_FOUND where there is none or it cannot be read, DATA_INVALID for a
 * folder, FIFO, socket or device, an empty file and one beyond `maxBytes`.
 */
export async function openFileBytes(
  path: string,
  { maxBytes = maxStreamedBytes }: { readonly maxBytes?: number } = {},
): Promise<ByteSource> {
  let handle: FileHandle;
  try {
    // Without O_NONBLOCK, opening a FIFO waits for a writer.
    handle = await open(await realpath(path), constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENXIO') throw invalid(`${path} is a socket or device, not a regular file`, { cause });
    throw new HildaError('NOT_FOUND', `${path} cannot be read (${code ?? String(cause)})`, {
      cause,
      hint: 'Check the path.',
    });
  }
  try {
    const stats = await handle.stat();
    const kind = stats.isDirectory() ? 'folder' : stats.isFIFO() ? 'FIFO' : 'device';
    if (!stats.isFile()) throw invalid(`${path} is a ${kind}, not a regular file`);
    if (stats.size === 0) throw invalid(`${path} is empty`);
    if (stats.size > maxBytes)
      throw invalid(`${path} holds ${stats.size} bytes, more than the limit of ${maxBytes}`);
    return fileBytes(path, handle, stats.size);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** What `use` makes of a file's bytes; they are closed where it throws. */
export async function opened<T>(path: string, use: (bytes: ByteSource) => T | Promise<T>): Promise<T> {
  const bytes = await openFileBytes(path);
  try {
    return await use(bytes);
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

/** The whole of a regular file; throws as `openFileBytes` does. */
export async function readWholeFile(path: string, maxBytes: number = maxWholeBytes): Promise<Uint8Array> {
  const bytes = await openFileBytes(path, { maxBytes });
  try {
    return await bytes.read(0, bytes.size);
  } finally {
    await bytes.close();
  }
}

/**
 * The whole of a regular file, at once: for files that are needed before anything else can go on. Throws what the file system
 * throws, and an error for a pipe, folder or device, which would keep the reader waiting, and beyond `maxBytes`.
 */
export function readRegularFileSync(path: string, maxBytes: number): Uint8Array {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile() || stats.size > maxBytes)
      throw new Error(`${path} is no regular file of at most ${maxBytes} bytes`);
    return new Uint8Array(readFileSync(descriptor));
  } finally {
    closeSync(descriptor);
  }
}

function fileBytes(name: string, handle: FileHandle, size: number): ByteSource {
  return {
    name,
    size,
    async read(position, length) {
      const bytes = new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled);
        if (bytesRead === 0)
          throw invalid(`${name} ended after ${position + filled} bytes while it was read`);
        filled += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}

/** Part of a source, which it closes with itself. */
export const partOfBytes = (whole: ByteSource, name: string, from: number, size: number): ByteSource => ({
  name,
  size,
  read(position, length) {
    if (position + length > size) throw invalid(`${name} ends after ${size} bytes`);
    return whole.read(from + position, length);
  },
  close: () => whole.close(),
});

export const bytesInMemory = (name: string, bytes: Uint8Array): ByteSource => ({
  name,
  size: bytes.length,
  async read(position, length) {
    if (position + length > bytes.length) throw invalid(`${name} ends after ${bytes.length} bytes`);
    return bytes.subarray(position, position + length);
  },
  async close() {},
});
