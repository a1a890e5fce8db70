/**
 * `npm run bench -- conformance [--stages read,shapes,...] [--only TEXT] [--c all|sample|none] [--list wrong]`: every ONNX
 * backend test of Debian's libonnx-testdata through reading, shape inference, writing again, the host, the int8
 * reference and the exported C under sanitizers. `--list` prints each case with that verdict (wrong also prints crashed),
 * with its reason. Bar: nothing wrong or crashed at any stage.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { judgeTests } from '../../test/agreement/conformance.js';
import { caseNames, dataFolder } from '../../test/agreement/onnx-cases.js';
import { stageOrder } from '../../test/agreement/tally.js';
import type { Stage } from '../../test/agreement/verdict.js';

const { values: flags } = parseArgs({
  options: {
    stages: { type: 'string', default: stageOrder.join() },
    only: { type: 'string', default: '' },
    c: { type: 'string', default: 'sample' },
    list: { type: 'string', multiple: true, default: [] },
    processes: { type: 'string', default: String(availableParallelism()) },
  },
});
const stages = flags.stages.split(',') as Stage[];
const names = caseNames().filter((name) => name.includes(flags.only));
if (names.length === 0) {
  console.error(`no test under ${dataFolder}: please install libonnx-testdata (a Debian package)`);
  process.exit(1);
}
const withC = stages.includes('c') && stages.includes('int8') && flags.c !== 'none';
const everyC = withC ? (flags.c === 'all' || names.length <= 40 ? 1 : 12) : 0;
const startMs = performance.now();
const tally = await judgeTests(names, { stages, everyC, processes: Number(flags.processes) });

for (const { name, stage, verdict } of tally.list) {
  const asked = flags.list.includes(verdict.is) || (verdict.is === 'crashed' && flags.list.includes('wrong'));
  if (asked) console.log(`${stage} ${name}: ${verdict.is}${'why' in verdict ? `: ${verdict.why}` : ''}`);
}
console.log(tally.table());
const each = (of: (stage: Stage) => number): Record<string, number> =>
  Object.fromEntries(stages.map((stage) => [stage, of(stage)]));
console.log(
  JSON.stringify({
    bench: 'conformance',
    tests: names.length,
    ...each((stage) => tally.count(stage, 'ok')),
    wrong: each((stage) => tally.count(stage, 'wrong')),
    crashed: each((stage) => tally.count(stage, 'crashed')),
    refused: each((stage) => tally.count(stage, 'refused')),
    seconds: Math.round((performance.now() - startMs) / 1000),
  }),
);
