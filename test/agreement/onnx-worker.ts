import { readOnnx } from '../../daemon/network/read-onnx.js';
import { SessionProcess } from '../../daemon/runtime/session-process.js';
import { type Exported, exported } from './exported-c.js';
import { rewriteStage, shapesStage } from './graph-stages.js';
import { hostStage } from './host-stage.js';
import { int8Stage } from './int8-stage.js';
import { readCase } from './onnx-cases.js';
import { serveTasks } from './pool.js';
import { judged, ok, type Stage, type Verdict } from './verdict.js';

export interface OnnxTask {
  readonly name: string;
  readonly stages: readonly Stage[];
  /** Whether networks that ran in int8 come back as C. */
  readonly withC: boolean;
}

export interface OnnxAnswer {
  /** One verdict a way to feed the test. */
  readonly verdicts: Partial<Record<Stage, Verdict[]>>;
  readonly c: readonly Exported[];
}

/** A process that judges one ONNX test after the other; it may die of any of them. */
const runtime = new SessionProcess();

function readStage(bytes: Uint8Array): Verdict {
  readOnnx(bytes);
  return ok;
}

async function judge({ name, stages, withC }: OnnxTask): Promise<OnnxAnswer> {
  const test = readCase(name);
  const verdicts: OnnxAnswer['verdicts'] = {};
  const c: Exported[] = [];
  const at = (stage: Stage, list: Verdict[]): void => {
    if (stages.includes(stage)) verdicts[stage] = list;
  };
  at('read', [await judged(() => readStage(test.bytes))]);
  if (stages.includes('shapes')) at('shapes', [await judged(() => shapesStage(test))]);
  if (stages.includes('rewrite')) at('rewrite', [await judged(() => rewriteStage(test))]);
  if (stages.includes('host')) at('host', [await judged(() => hostStage(test, runtime))]);
  if (stages.includes('int8')) {
    const outcomes = await int8Stage(test, runtime);
    at(
      'int8',
      outcomes.map(({ verdict }) => verdict),
    );
    if (withC)
      for (const [i, { run }] of outcomes.entries()) if (run) c.push(exported(`${name} (${i})`, run));
  }
  return { verdicts, c };
}

serveTasks(judge, () => runtime.stop());
