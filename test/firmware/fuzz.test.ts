import t from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { groupCases } from './group-cases.js';
import { operatorCases } from './operator-cases.js';
import type { ProgramCase } from './program-case.js';
import { buildNative, fuzzNative } from './runtime-driver.js';

/**
 * No byte sequence may write outside the arena, read outside its memory, or run for good. The native build runs mutants
 * of valid programs under AddressSanitizer and UndefinedBehaviorSanitizer, with every block allocated to the byte.
 * HILDA_FUZZ_ROUNDS makes the run longer.
 */
const rounds = Number(process.env.HILDA_FUZZ_ROUNDS ?? 40_000);

t.test('mutated programs', { timeout: 0 }, async (t) => {
  const native = buildNative();
  const rng = Xoshiro128.fromSeed(99);
  const small = (c: ProgramCase): boolean => c.arena.length < 4000;
  const seeds = Object.values({ ...operatorCases, ...groupCases }).flatMap((generate) =>
    Array.from({ length: 30 }, () => generate(rng, 'scalar'))
      .filter(small)
      .slice(0, 8),
  );
  t.ok(seeds.length > 100 && seeds.length <= 256, `${seeds.length} programs to start from`);
  const seed = Number(process.env.HILDA_FUZZ_SEED ?? 1);
  const told = fuzzNative(native, seeds, seed, rounds);
  const passed = Number(told.split(' ')[0]);
  // Were none to pass, the runs would prove nothing; were all to pass, the check would not check.
  t.ok(passed > rounds / 50 && passed < rounds * 0.9, told.trim());
});
