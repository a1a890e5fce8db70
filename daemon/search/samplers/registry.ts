import { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import { auto } from './auto.js';
import { boshnas } from './boshnas.js';
import type { Sampler } from './contract.js';
import { mcts, smbo } from './deep-architect.js';
import { diffusionNag } from './diffusionnag.js';
import { eas } from './eas.js';
import { fbnetv3 } from './fbnetv3.js';
import { fbnetv5 } from './fbnetv5.js';
import { hhnasAm } from './hhnas-am.js';
import { LinasSampler } from './linas.js';
import { mcuformer } from './mcuformer.js';
import { Nsga2Sampler } from './nsga2.js';
import { count, definePlugin, type SamplerPlugin, share } from './plugin.js';
import { proxylessNasR } from './proxylessnas-r.js';
import { RandomSampler } from './random.js';
import { RegularizedEvolutionSampler } from './regularized-evolution.js';
import { transferPrior } from './transfer-prior.js';
import { unas } from './unas.js';

const plugins: readonly SamplerPlugin[] = [
  auto,
  definePlugin({ name: 'random', options: z.strictObject({}), create: () => new RandomSampler() }),
  definePlugin({
    name: 'regularized-evolution',
    options: z.strictObject({
      population: count(50),
      tournament: count(10),
      start: z.enum(['random', 'seeds']).default('random'),
    }),
    create: (options) => new RegularizedEvolutionSampler(options),
  }),
  definePlugin({
    name: 'nsga2',
    options: z.strictObject({ population: count(50), crossoverProbability: share(0.9) }),
    create: (options) => new Nsga2Sampler(options),
  }),
  definePlugin({
    name: 'linas',
    options: z.strictObject({
      initial: count(20),
      population: count(50),
      innerEvaluations: count(1000),
      uncertainShare: share(0.1),
      secondShare: share(0.3),
    }),
    create: (options) => new LinasSampler(options),
  }),
  unas,
  mcuformer,
  proxylessNasR,
  hhnasAm,
  mcts,
  smbo,
  boshnas,
  fbnetv3,
  fbnetv5,
  diffusionNag,
  transferPrior,
  eas,
];

const byName: ReadonlyMap<string, SamplerPlugin> = new Map(plugins.map((plugin) => [plugin.name, plugin]));

export const samplerNames: readonly string[] = plugins.map(({ name }) => name);

/** `others`: of plug-ins. Throws SAMPLER_UNKNOWN, or SPEC_INVALID for options the sampler does not take. */
export function createSampler(
  name: string,
  options: unknown = {},
  others: readonly SamplerPlugin[] = [],
): Sampler {
  const plugin = byName.get(name) ?? others.find((other) => other.name === name);
  if (!plugin) {
    const known = [...samplerNames, ...others.map((other) => other.name)];
    throw new HildaError('SAMPLER_UNKNOWN', `there is no sampler ${name}; known: ${known.join(', ')}`, {
      details: { name, known },
    });
  }
  const parsed = plugin.options.safeParse(options ?? {});
  if (!parsed.success) {
    throw new HildaError('SPEC_INVALID', `options of the sampler ${name}: ${z.prettifyError(parsed.error)}`, {
      cause: parsed.error,
    });
  }
  return plugin.create(parsed.data);
}
