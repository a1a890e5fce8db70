/**
 * `node dist/scripts/check-random-graphs.js [--count 2000] [--seed 1] [--c all|sample|none] [--own 10] [--list]`: random graphs
 * over all operators, with every attribute and operator sets from 7 on, agree between onnxruntime, shape inference, an
 * independent count of their costs, the file written again, the int8 reference and the exported C under sanitizers. One in
 * `--own` programs in C holds its own operators alone; the others share a build that holds all. Prints each fault with the
 * smallest model that shows it (with --list each refusal too), figures by operator, and one JSON object.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { judgeDrawn } from '../test/agreement/drawn-graphs.js';

const { values: flags } = parseArgs({
  options: {
    count: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    c: { type: 'string', default: 'all' },
    own: { type: 'string', default: '10' },
    list: { type: 'boolean', default: false },
    processes: { type: 'string', default: String(availableParallelism()) },
  },
});
const [count, seed] = [Number(flags.count), Number(flags.seed)];
const { totals, operators, faults, refusals } = await judgeDrawn({
  count,
  seed,
  everyC: flags.c === 'all' ? 1 : flags.c === 'sample' ? 10 : 0,
  ownRuntime: Number(flags.own),
  shrink: true,
  processes: Number(flags.processes),
});
for (const line of [...faults, ...(flags.list ? refusals : [])]) console.log(line);
console.log('operator: graphs and parts, int8 ran, refused, wrong');
for (const [op, { graphs, ran, refused, wrong }] of [...operators].sort(([a], [b]) => a.localeCompare(b)))
  console.log(`${op}: ${graphs}, ${ran}, ${refused}, ${wrong}`);
console.log(
  JSON.stringify({ check: 'random-graphs', count, seed, ...Object.fromEntries([...totals].sort()) }),
);
