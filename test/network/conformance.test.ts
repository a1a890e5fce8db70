import t from 'tap';
import { judgeTests } from '../agreement/conformance.js';
import { caseNames } from '../agreement/onnx-cases.js';
import { stageOrder } from '../agreement/tally.js';

/**
 * A quarter of the ONNX backend tests through every stage, in processes of their own. `npm run bench -- conformance` runs
 * all of them.
 */
t.setTimeout(600_000);
const names = caseNames();
const missing = names.length === 0 && !process.env.CI && 'needs the Debian package libonnx-testdata';

t.test('ONNX backend tests: nothing is wrong, and as much runs as did', { skip: missing }, async (t) => {
  t.equal(names.length, 1072);
  const some = names.filter((_, i) => i % 4 === 1);
  const tally = await judgeTests(some, { stages: ['read', 'shapes', 'rewrite', 'host', 'int8'], everyC: 8 });
  for (const stage of stageOrder) {
    t.same(tally.at(stage, 'wrong'), [], `${stage}: none wrong`);
    t.same(tally.at(stage, 'crashed'), [], `${stage}: none crashed`);
  }
  const least = { read: 268, shapes: 242, rewrite: 251, host: 246, int8: 133, c: 16 } as const;
  for (const stage of stageOrder) {
    const count = tally.count(stage, 'ok');
    t.ok(count >= least[stage], `${stage}: ${count} right, ${least[stage]} were`);
  }
});
