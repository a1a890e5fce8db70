import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors } from '../daemon/train/weights/safetensors.js';
import { SharedWeights } from '../daemon/train/weights/shared-weights.js';

/** The super-network of a space, as shipped or as trained into `folder`. */
export const openWeights = (spaceId: string, folder = 'profiles/supernets'): SharedWeights =>
  new SharedWeights(
    readSafetensors(new Uint8Array(readFileSync(join(folder, spaceId, 'weights.safetensors')))).tensors,
  );
