import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { type GraphStage, judgeModel } from '../compiler/random-graphs/judge.js';
import { described, shrunk } from '../compiler/random-graphs/shrink.js';
import { randomModel } from '../compiler/random-graphs.js';
import { type Exported, exported } from './exported-c.js';
import { serveTasks } from './pool.js';
import type { Verdict } from './verdict.js';

export interface GraphTask {
  readonly seed: number;
  /** Built as C: with the operators that it uses alone, or with all, so that many share one build. */
  readonly c?: 'used' | 'all';
  /** Look for the smallest part that fails. */
  readonly shrink: boolean;
}

export interface GraphAnswer {
  readonly operators: readonly string[];
  readonly opset: number;
  readonly verdicts: Readonly<Record<GraphStage, Verdict>>;
  readonly parts: readonly { readonly op: string; readonly verdict: Verdict }[];
  readonly c?: Exported;
  /** Of each stage that failed, the model in lines. */
  readonly faults: readonly { readonly stage: GraphStage; readonly why: string; readonly model: string }[];
}

/** A process that draws and judges one model after the other; it may die of any of them. */
const runtime = new SessionProcess();
const isFault = ({ is }: Verdict): boolean => is === 'wrong' || is === 'crashed';

async function judge({ seed, c, shrink }: GraphTask): Promise<GraphAnswer> {
  const model = await randomModel(seed);
  const { verdicts, parts, run } = await judgeModel(model, runtime);
  const faults: { stage: GraphStage; why: string; model: string }[] = [];
  for (const stage of Object.keys(verdicts) as GraphStage[]) {
    if (!isFault(verdicts[stage]) || stage === 'parts') continue;
    const fails = async (part: typeof model): Promise<boolean> =>
      judgeModel(part, runtime).then(
        (judgement) => isFault(judgement.verdicts[stage]),
        () => false,
      );
    const small = shrink ? await shrunk(model, fails) : model;
    const verdict = small === model ? verdicts[stage] : (await judgeModel(small, runtime)).verdicts[stage];
    faults.push({ stage, why: 'why' in verdict ? verdict.why : '', model: described(small) });
  }
  for (const { verdict, part } of parts)
    if (isFault(verdict))
      faults.push({ stage: 'parts', why: 'why' in verdict ? verdict.why : '', model: described(part) });
  return {
    operators: model.nodes.map(({ op }) => op),
    opset: model.opset,
    verdicts,
    parts: parts.map(({ op, verdict }) => ({ op, verdict })),
    faults,
    ...(c && run && { c: exported(`seed ${seed}`, run, c) }),
  };
}

serveTasks(judge, () => runtime.stop());
