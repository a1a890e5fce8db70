/**
 * `node dist/scripts/check-random-graphs.js [--count 2000] [--seed 1] [--c all|sample|none] [--list]`: random graphs over all
 * operators, with every attribute and operator sets from 7 on, agree between onnxruntime, shape inference, the file
 * written again, the int8 reference and the exported C under sanitizers. Prints each fault with the smallest model that
 * shows it, figures by operator, and one JSON object.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { type Exported, runExported } from '../test/agreement/exported-c.js';
import type { GraphAnswer, GraphTask } from '../test/agreement/graph-worker.js';
import { answerAll } from '../test/agreement/pool.js';
import type { Verdict } from '../test/agreement/verdict.js';

const { values: flags } = parseArgs({
  options: {
    count: { type: 'string', default: '2000' },
    seed: { type: 'string', default: '1' },
    c: { type: 'string', default: 'all' },
    list: { type: 'boolean', default: false },
    processes: { type: 'string', default: String(availableParallelism()) },
  },
});
const [count, first] = [Number(flags.count), Number(flags.seed)];
const tasks = Array.from({ length: count }, (_, i): GraphTask => {
  return {
    seed: first + i,
    shrink: true,
    withC: flags.c === 'all' || (flags.c === 'sample' && i % 10 === 0),
  };
});
const stages = ['shapes', 'rewrite', 'int8', 'parts'] as const;
const totals = new Map<string, number>();
const byOperator = new Map<string, { graphs: number; ran: number; refused: number; wrong: number }>();
const networks: Exported[] = [];
const add = (key: string): void => void totals.set(key, (totals.get(key) ?? 0) + 1);

function countOperators(operators: readonly string[], { is }: Verdict): void {
  for (const op of new Set(operators)) {
    const row = byOperator.get(op) ?? { graphs: 0, ran: 0, refused: 0, wrong: 0 };
    row.graphs++;
    if (is === 'ok') row.ran++;
    else if (is === 'refused') row.refused++;
    else row.wrong++;
    byOperator.set(op, row);
  }
}

await answerAll<GraphTask, GraphAnswer>(
  './graph-worker.js',
  tasks,
  Number(flags.processes),
  ({ seed }, answer) => {
    if ('failed' in answer) {
      add('died');
      console.log(`seed ${seed} died: ${answer.failed}`);
      return;
    }
    for (const stage of stages) {
      const verdict = answer.verdicts[stage];
    add(`${stage} ${verdict.is}`);
      if (verdict.is === 'refused' && flags.list)
        console.log(`seed ${seed} ${stage} refused: ${verdict.why}`);
    }
    if (answer.verdicts.int8.is !== 'refused' || answer.parts.length === 0)
      countOperators(answer.operators, answer.verdicts.int8);
    for (const { op, verdict } of answer.parts) countOperators([op], verdict);
    for (const { stage, why, model } of answer.faults) console.log(`seed ${seed} ${stage}: ${why}\n${model}`);
    if (answer.c) networks.push(answer.c);
  },
);
for (const { name, fault } of await runExported(networks)) {
  add(fault ? 'c wrong' : 'c ok');
  if (fault) console.log(`${name} c: ${fault}`);
}

console.log('operator: graphs and parts, int8 ran, refused, wrong');
for (const [op, { graphs, ran, refused, wrong }] of [...byOperator].sort(([a], [b]) => a.localeCompare(b)))
  console.log(`${op}: ${graphs}, ${ran}, ${refused}, ${wrong}`);
console.log(
  JSON.stringify({ check: 'random-graphs', count, seed: first, ...Object.fromEntries([...totals].sort()) }),
);
