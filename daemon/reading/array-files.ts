import { open } from 'node:fs/promises';

/** One read or write takes less than 2 GiB. */
const pieceBytes = 2 ** 28;

/** Writes elements to a new file, as they lie in memory. */
export async function writeArray(
  path: string,
  { buffer, byteOffset, byteLength }: Float32Array | Uint8Array,
): Promise<void> {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  const file = await open(path, 'wx', 0o600);
  try {
    for (let at = 0; at < byteLength; ) {
      const { bytesWritten } = await file.write(bytes, at, Math.min(pieceBytes, byteLength - at), at);
      at += bytesWritten;
    }
  } finally {
    await file.close();
  }
}

/** What `writeArray` wrote; a file that ends early leaves zeros, so its length is checked first. */
export async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; ) {
      const { bytesRead } = await file.read(bytes, at, Math.min(pieceBytes, size - at), at);
      if (bytesRead === 0) throw new Error(`${path} ended at ${at} of ${size} bytes`);
      at += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

export const readFloats = async (path: string): Promise<Float32Array> =>
  new Float32Array((await readBytes(path)).buffer);
