import { randomBytes } from 'node:crypto';
import { Xoshiro128 } from '../core/rng.js';

/** Numbers of [0, 1) that differ from process to process: waits of peers must not fall together. */
export function processChance(): () => number {
  const rng = Xoshiro128.fromSeed(randomBytes(4).readInt32LE());
  return () => rng.next();
}
