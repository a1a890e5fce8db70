import t from 'tap';
import { judgeDrawn } from '../agreement/drawn-graphs.js';

/**
 * Random graphs of every operator set from 7 on, each stage held against onnxruntime and the exported C under sanitizers
 * against the int8 reference. `scripts/check-random-graphs.ts` draws thousands.
 */
t.setTimeout(900_000);

t.test('a hundred random graphs agree with onnxruntime', async (t) => {
  const { totals, faults } = await judgeDrawn({ count: 100, seed: 1, everyC: 1, shrink: false });
  t.same(faults, []);
  // A network that onnxruntime computes in two ways, whole and by parts, is skipped.
  const least = { 'shapes ok': 99, 'cost ok': 90, 'rewrite ok': 98, 'int8 ok': 70, 'c ok': 70 };
  for (const [key, bound] of Object.entries(least)) {
    const count = totals.get(key) ?? 0;
    t.ok(count >= bound, `${key}: ${count}, at least ${bound}`);
  }
});
