import { z } from 'zod';
import { HildaError } from '../../core/errors.js';
import type { Sampler } from './contract.js';
import { LinasSampler } from './linas.js';
import { Nsga2Sampler } from './nsga2.js';
import { RandomSampler } from './random.js';
import { RegularizedEvolutionSampler } from './regularized-evolution.js';

const count = (initial: number): z.ZodDefault<z.ZodNumber> =>
  z.number().int().min(1).max(100_000).default(initial);
const share = (initial: number): z.ZodDefault<z.ZodNumber> => z.number().min(0).max(1).default(initial);

const makers: Readonly<Record<string, (options: unknown) => Sampler>> = {
  random: (options) => {
    z.strictObject({}).parse(options);
    return new RandomSampler();
  },
  'regularized-evolution': (options) =>
    new RegularizedEvolutionSampler(
      z.strictObject({ population: count(50), tournament: count(10) }).parse(options),
    ),
  nsga2: (options) =>
    new Nsga2Sampler(
      z.strictObject({ population: count(50), crossoverProbability: share(0.9) }).parse(options),
    ),
  linas: (options) =>
    new LinasSampler(
      z
        .strictObject({
          initial: count(20),
          population: count(50),
          innerEvaluations: count(2000),
          uncertainShare: share(0.15),
        })
        .parse(options),
    ),
};

export const samplerNames: readonly string[] = Object.keys(makers);

/** Throws SAMPLER_UNKNOWN, or SPEC_INVALID for options the sampler does not take. */
export function createSampler(name: string, options: unknown = {}): Sampler {
  const make = Object.hasOwn(makers, name) ? makers[name] : undefined;
  if (!make) {
    throw new HildaError(
      'SAMPLER_UNKNOWN',
      `there is no sampler ${name}; known: ${samplerNames.join(', ')}`,
      {
        details: { name, known: samplerNames },
      },
    );
  }
  try {
    return make(options ?? {});
  } catch (error) {
    if (!(error instanceof z.ZodError)) throw error;
    throw new HildaError('SPEC_INVALID', `options of the sampler ${name}: ${z.prettifyError(error)}`, {
      cause: error,
    });
  }
}
