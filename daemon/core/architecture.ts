import { sha256Hex } from './hash.js';
import type { ArchitectureId } from './ids.js';
import { canonicalJson, type Json } from './json.js';

/**
 * One assignment of a search space's decision variables: an index vector for spaces with fixed dimensions
 * (entry i counts into `dims[i].choices`), or a derivation tree for grammar spaces.
 */
export type Architecture = readonly number[] | { readonly [key: string]: Json };

/** The id under which an architecture is stored, compared and reported. The space's name is part of it. */
export function architectureId(spaceId: string, architecture: Architecture): ArchitectureId {
  return sha256Hex(canonicalJson({ space: spaceId, architecture: architecture as Json })) as ArchitectureId;
}
