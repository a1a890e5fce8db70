import type { Socket } from 'node:net';
import { HildaError } from '../../core/errors.js';
import type { SocketReader } from './socket-reader.js';

/** Largest part of a file that adb's sync service takes at a time (SYNC.TXT of the Android source). */
const partBytes = 64 * 1024;

export interface SyncFile {
  readonly path: string;
  readonly bytes: Uint8Array;
  readonly mode: number;
  readonly timeMs: number;
}

function packet(id: string, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.write(id, 'latin1');
  bytes.writeUInt32LE(value, 4);
  return bytes;
}

/** Writes one file over an open sync service. Throws ADB_FAILED with the phone's own words. */
export async function syncPush(
  reader: SocketReader,
  socket: Socket,
  { path, bytes, mode, timeMs }: SyncFile,
): Promise<void> {
  const name = Buffer.from(`${path},${0o100000 | mode}`, 'utf8');
  socket.write(Buffer.concat([packet('SEND', name.length), name]));
  for (let offset = 0; offset < bytes.byteLength; offset += partBytes) {
    const part = bytes.subarray(offset, offset + partBytes);
    socket.write(Buffer.concat([packet('DATA', part.byteLength), part]));
  }
  socket.write(packet('DONE', Math.floor(timeMs / 1000)));
  const answer = await reader.read(8);
  const id = answer.toString('latin1', 0, 4);
  if (id === 'OKAY') return;
  const words = id === 'FAIL' ? (await reader.read(answer.readUInt32LE(4))).toString('utf8') : `"${id}"`;
  throw new HildaError('ADB_FAILED', `the phone does not take ${path}: ${words}`);
}
