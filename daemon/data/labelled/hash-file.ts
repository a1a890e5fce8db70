import { createHash } from 'node:crypto';
import { openFileBytes } from '../file-bytes.js';

const blockBytes = 4 * 2 ** 20;

/** SHA-256 of a regular file's bytes, as 64 hexadecimal digits. Throws NOT_FOUND, DATA_INVALID. */
export async function hashFile(path: string): Promise<string> {
  const bytes = await openFileBytes(path);
  try {
    const hash = createHash('sha256');
    for (let at = 0; at < bytes.size; at += blockBytes)
      hash.update(await bytes.read(at, Math.min(blockBytes, bytes.size - at)));
    return hash.digest('hex');
  } finally {
    await bytes.close();
  }
}
