import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HildaError } from '../../core/errors.js';
import { readSafetensors } from './safetensors.js';
import { SharedWeights } from './shared-weights.js';

/** `<folder>/<space>/weights.safetensors`. Throws SUPERNET_INVALID where there is none or a damaged one. */
export function supernetWeights(folder: string, spaceId: string): SharedWeights {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(join(folder, spaceId, 'weights.safetensors'));
  } catch (cause) {
    throw new HildaError('SUPERNET_INVALID', `there is no super-network for the space ${spaceId}`, {
      cause,
      hint: 'Train one: hilda train --help. Or choose another evaluator.',
    });
  }
  return new SharedWeights(readSafetensors(bytes).tensors);
}
