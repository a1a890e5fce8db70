import { availableParallelism } from 'node:os';
import type { GraphStage } from '../compiler/random-graphs/judge.js';
import { type Exported, runExported } from './exported-c.js';
import type { GraphAnswer, GraphTask } from './graph-worker.js';
import { answerAll } from './pool.js';
import type { Verdict } from './verdict.js';

export interface OperatorCounts {
  graphs: number;
  ran: number;
  refused: number;
  wrong: number;
}

/** What came of drawn graphs: verdicts by stage, int8 verdicts by operator, and every fault in lines. */
export interface DrawnGraphs {
  /** By "STAGE VERDICT". */
  readonly totals: ReadonlyMap<string, number>;
  readonly operators: ReadonlyMap<string, Readonly<OperatorCounts>>;
  readonly faults: readonly string[];
  readonly refusals: readonly string[];
}

export interface DrawOptions {
  readonly count: number;
  /** Of the first graph; each further one takes the next. */
  readonly seed: number;
  /** Every how manyeth graph is built as C too; 0 for none. One in `ownRuntime` of them keeps to its own operators. */
  readonly everyC: number;
  readonly ownRuntime?: number;
  readonly shrink: boolean;
  readonly processes?: number;
}

const stages: readonly GraphStage[] = ['shapes', 'cost', 'rewrite', 'int8', 'parts'];

export async function judgeDrawn(options: DrawOptions): Promise<DrawnGraphs> {
  const { count, seed, everyC, ownRuntime = 10, shrink, processes = availableParallelism() } = options;
  const tasks = Array.from({ length: count }, (_, i): GraphTask => {
    const withC = everyC > 0 && i % everyC === 0;
    return { seed: seed + i, shrink, ...(withC && { c: i % (everyC * ownRuntime) === 0 ? 'used' : 'all' }) };
  });
  const totals = new Map<string, number>();
  const operators = new Map<string, OperatorCounts>();
  const [faults, refusals, networks]: [string[], string[], Exported[]] = [[], [], []];
  const add = (key: string): void => void totals.set(key, (totals.get(key) ?? 0) + 1);
  await answerAll<GraphTask, GraphAnswer>('./graph-worker.js', tasks, processes, ({ seed }, answer) => {
    if ('failed' in answer) {
      add('died');
      faults.push(`seed ${seed} died: ${answer.failed}`);
      return;
    }
    const { verdicts, parts } = answer;
    for (const stage of stages) {
      const verdict = verdicts[stage];
      add(`${stage} ${verdict.is}`);
      if (verdict.is === 'refused') refusals.push(`seed ${seed} ${stage} ${verdict.code}: ${verdict.why}`);
    }
    if (verdicts.int8.is !== 'refused' || parts.length === 0)
      countOperators(operators, answer.operators, verdicts.int8);
    for (const { op, verdict } of parts) countOperators(operators, [op], verdict);
    for (const { stage, why, model } of answer.faults) faults.push(`seed ${seed} ${stage}: ${why}\n${model}`);
    if (answer.c) networks.push(answer.c);
  });
  for (const { name, fault } of await runExported(networks)) {
    add(fault ? 'c wrong' : 'c ok');
    if (fault) faults.push(`${name} c: ${fault}`);
  }
  return { totals, operators, faults, refusals };
}

function countOperators(
  counts: Map<string, OperatorCounts>,
  operators: readonly string[],
  { is }: Verdict,
): void {
  for (const op of new Set(operators)) {
    const row = counts.get(op) ?? { graphs: 0, ran: 0, refused: 0, wrong: 0 };
    row.graphs++;
    if (is === 'ok') row.ran++;
    else if (is === 'refused') row.refused++;
    else row.wrong++;
    counts.set(op, row);
  }
}
