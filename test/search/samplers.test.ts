import t from 'tap';
import { createSampler, samplerNames } from '../../daemon/search/samplers/registry.js';
import { samplerContract } from '../contract/sampler-contract.js';

t.setTimeout(900_000);

// SAMPLER=name runs the contract of one alone.
for (const name of samplerNames.filter((known) => known === (process.env.SAMPLER ?? known))) {
  t.test(name, async (t) => samplerContract(t, () => createSampler(name)));
}

t.test('the registry refuses what it does not know', async (t) => {
  t.throws(() => createSampler('annealing'), { code: 'SAMPLER_UNKNOWN' });
  t.throws(() => createSampler('toString'), { code: 'SAMPLER_UNKNOWN' });
  t.throws(() => createSampler('nsga2', { population: 0 }), { code: 'SPEC_INVALID' });
  t.throws(() => createSampler('random', { speed: 1 }), { code: 'SPEC_INVALID' });
});
