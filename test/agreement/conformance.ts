import { availableParallelism } from 'node:os';
import { type Exported, runExported } from './exported-c.js';
import type { OnnxAnswer, OnnxTask } from './onnx-worker.js';
import { answerAll, type Failed } from './pool.js';
import { Tally } from './tally.js';
import { ok, type Stage, type Verdict, wrong } from './verdict.js';

export interface ConformanceOptions {
  readonly stages: readonly Stage[];
  /** Every how manyeth test has its networks built as C; 0 for none. */
  readonly everyC: number;
  readonly processes?: number;
}

/** Judges ONNX backend tests at each stage asked for. */
export async function judgeTests(
  names: readonly string[],
  { stages, everyC, processes = availableParallelism() }: ConformanceOptions,
): Promise<Tally> {
  const tasks = names.map((name, index): OnnxTask => {
    return { name, stages, withC: everyC > 0 && index % everyC === 0 };
  });
  const tally = new Tally();
  const networks: Exported[] = [];
  await answerAll<OnnxTask, OnnxAnswer>('./onnx-worker.js', tasks, processes, ({ name }, answer) => {
    for (const stage of stages)
      for (const [i, verdict] of verdictsOf(answer, stage).entries())
        tally.add(i === 0 ? name : `${name} (${i})`, stage, verdict);
    if ('c' in answer) networks.push(...answer.c);
  });
  for (const { name, fault } of await runExported(networks)) tally.add(name, 'c', fault ? wrong(fault) : ok);
  return tally;
}

const verdictsOf = (answer: OnnxAnswer | Failed, stage: Stage): readonly Verdict[] =>
  'failed' in answer ? [{ is: 'crashed', why: answer.failed }] : (answer.verdicts[stage] ?? []);
