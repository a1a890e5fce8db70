import type { Sampler } from '../search/samplers/contract.js';
import type { SamplerPlugin } from '../search/samplers/plugin.js';
import { createSampler } from '../search/samplers/registry.js';
import { externalSampler } from './outside.js';
import type { StudySpec } from './spec.js';

/** A sampler that proposes nothing stands in for one outside: the loop reads the inbox instead. */
export function samplerOf(
  { sampler: { name, options } }: StudySpec,
  plugins?: readonly SamplerPlugin[],
): Sampler {
  if (name !== externalSampler) return createSampler(name, options, plugins);
  return { name, needs: [], ask: () => [], tell: () => {}, state: () => null, restore: () => {} };
}
