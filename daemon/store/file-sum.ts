import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat } from 'node:fs/promises';

export interface FileSum {
  readonly bytes: number;
  /** In hexadecimal digits. */
  readonly sha256: string;
}

/** SHA-256 of a regular file, in hexadecimal digits, and its size. Throws what the file system throws. */
export async function fileSum(path: string): Promise<FileSum> {
  if (!(await lstat(path)).isFile()) throw new Error(`${path} is no regular file`);
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const part of createReadStream(path)) {
    hash.update(part as Buffer);
    bytes += (part as Buffer).length;
  }
  return { bytes, sha256: hash.digest('hex') };
}
