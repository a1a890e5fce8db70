import { join } from 'node:path';
import { HildaError } from '../core/errors.js';
import { sha256Hex } from '../core/hash.js';
import { readRegularFileSync } from '../data/file-bytes.js';
import type { Space } from '../search/spaces/contract.js';
import type { InstatuneFile } from '../search/spaces/papers/instatune.js';
import { loadSpace, type SpacePlugin } from '../search/spaces/registry.js';

/**
 * A space from its file's content; a network that the file names is read from `<profiles>/networks`. Throws
 * SPACE_INVALID, also where the network is not the one whose SHA-256 the file holds.
 */
export const openSpace = (file: unknown, profilesDir: string, others: readonly SpacePlugin[] = []): Space =>
  loadSpace(file, (named) => readNetwork(named, profilesDir), others);

/** The file with the SHA-256 of the network it names, so that a stored study notices another one. */
export function pinNetwork<T extends { readonly kind: string }>(file: T, profilesDir: string): T {
  if (file.kind !== 'instatune') return file;
  const named = file as unknown as InstatuneFile;
  // The schema says what is wrong with such a name; a path is not read before that.
  if (typeof named.network !== 'string' || !/^[\w-][\w.-]*\.onnx$/.test(named.network)) return file;
  return { ...file, sha256: sha256Hex(readNetwork(named, profilesDir)) };
}

/** As an uploaded model. */
const maxFileBytes = 256 * 2 ** 20;

function readNetwork({ network, sha256 }: InstatuneFile, profilesDir: string): Uint8Array {
  const path = join(profilesDir, 'networks', network);
  let bytes: Uint8Array;
  try {
    bytes = readRegularFileSync(path, maxFileBytes);
  } catch (cause) {
    throw new HildaError('SPACE_INVALID', `network: cannot read ${network} of profiles/networks`, { cause });
  }
  if (sha256 !== undefined && sha256Hex(bytes) !== sha256)
    throw new HildaError('SPACE_INVALID', `network: ${path} is not the network this began with`, {
      hint: 'Put the old file back, or start anew.',
    });
  return bytes;
}
