import { join } from 'node:path';
import { HildaError } from '../../core/errors.js';
import { readRegularFileSync } from '../../data/file-bytes.js';
import { type DataRecord, dataRecordSchema } from '../../data/labelled/data-record.js';
import { readSafetensors } from './safetensors.js';
import { SharedWeights } from './shared-weights.js';

/** Of shared weights. */
const maxFileBytes = 2 ** 31 - 1;

export interface Supernet {
  readonly weights: SharedWeights;
  /** What they were trained on; null where the file does not say. */
  readonly data: DataRecord | null;
}

/** Where the super-network of a space lies. */
export const supernetPath = (folder: string, spaceId: string): string =>
  join(folder, spaceId, 'weights.safetensors');

/** `<folder>/<space>/weights.safetensors`. Throws SUPERNET_INVALID where there is none or a damaged one. */
export const supernetWeights = (folder: string, spaceId: string): SharedWeights =>
  readSupernet(supernetPath(folder, spaceId), spaceId).weights;

/** The shared weights of a file that `hilda train` wrote. Throws SUPERNET_INVALID where there is none or a damaged one. */
export function readSupernet(path: string, spaceId: string): Supernet {
  let bytes: Uint8Array;
  try {
    bytes = readRegularFileSync(path, maxFileBytes);
  } catch (cause) {
    throw new HildaError('SUPERNET_INVALID', `there is no super-network for the space ${spaceId} (${path})`, {
      cause,
      hint: 'Train one: hilda train --help. Or choose another evaluator.',
    });
  }
  const { tensors, metadata } = readSafetensors(bytes);
  return { weights: new SharedWeights(tensors), data: recordOf(metadata, path) };
}

function recordOf(metadata: Readonly<Record<string, string>>, path: string): DataRecord | null {
  if (metadata.data === undefined) return null;
  try {
    return dataRecordSchema.parse(JSON.parse(metadata.data));
  } catch (cause) {
    throw new HildaError('SUPERNET_INVALID', `${path}: the record of its training data is damaged`, {
      cause,
    });
  }
}
