import { bindInputs } from '../../../daemon/network/bind-inputs.js';
import { countCost, countKnownCost } from '../../../daemon/network/cost.js';
import type { Graph } from '../../../daemon/network/graph.js';
import { inferShapes } from '../../../daemon/network/infer-shapes.js';
import { readOnnx } from '../../../daemon/network/read-onnx.js';
import { writeOnnx } from '../../../daemon/network/write-onnx.js';
import type { SessionProcess } from '../../../daemon/runtime/session-process.js';
import { compared } from '../../agreement/graph-stages.js';
import { type Count, countOf } from '../../agreement/independent-count.js';
import { compareOutputs, type Int8Run, int8Answer } from '../../agreement/int8-stage.js';
import { type Given, runOnce } from '../../agreement/onnxruntime.js';
import { combined, judged, ok, skipped, type Verdict, wrong } from '../../agreement/verdict.js';
import type { RandomModel } from '../random-graphs.js';
import { singleNodes } from './shrink.js';

/** `parts`: the nodes of a model that a board refuses as a whole, each on its own. */
export type GraphStage = 'shapes' | 'cost' | 'rewrite' | 'int8' | 'parts';

export interface Judgement {
  readonly verdicts: Readonly<Record<GraphStage, Verdict>>;
  /** Verdict in int8 by operator, for the parts that were judged on their own. */
  readonly parts: readonly { readonly op: string; readonly verdict: Verdict; readonly part: RandomModel }[];
  /** Where the board program ran: what the exported C is held against. */
  readonly run?: Int8Run;
}

const graphOf = (model: RandomModel): Graph => bindInputs(readOnnx(model.bytes));
const feedsOf = (model: RandomModel): Record<string, Given> => Object.fromEntries(model.inputs);

/** Each part of ours against onnxruntime on one drawn model. */
export async function judgeModel(model: RandomModel, runtime: SessionProcess): Promise<Judgement> {
  const contradiction = await contradicted(model);
  if (contradiction)
    return {
      verdicts: {
        shapes: await judged(() => shapesOf(model)),
        cost: await judged(() => costOf(model)),
        rewrite: contradiction,
        int8: contradiction,
        parts: contradiction,
      },
      parts: [],
    };
  const { verdict: int8, run } = await int8Verdict(model, runtime);
  const parts: { op: string; verdict: Verdict; part: RandomModel }[] = [];
  if (int8.is === 'refused' && model.nodes.length > 1)
    for (const part of singleNodes(model)) {
      const { verdict } = await int8Verdict(part, runtime);
      parts.push({ op: part.nodes[0]?.op ?? '', verdict, part });
    }
  const verdicts = {
    shapes: await judged(() => shapesOf(model)),
    cost: await judged(() => costOf(model)),
    rewrite: await judged(() => rewritten(model)),
    int8,
    parts: combined(parts.map(({ verdict }) => verdict)),
  };
  return { verdicts, parts, ...(run && { run }) };
}

/**
 * Node by node every drawn model runs. Loaded as a whole, onnxruntime refuses those whose sizes it infers in another way than its
 * kernels compute them: a pool with ceil_mode gets a window that starts behind the image, which ONNX (MaxPool) and the
 * kernel ignore; a dilated pool with auto_pad SAME gets the size that ONNX says, its kernel makes less; a PRelu whose slope has
 * more axes than its input grows in the kernel alone.
 */
async function contradicted(model: RandomModel): Promise<Verdict | undefined> {
  const odd = (attributes: object): boolean => 'ceil_mode' in attributes || 'dilations' in attributes;
  const mayDiffer = model.nodes.some(
    ({ op, attributes }) => op === 'PRelu' || (op.endsWith('Pool') && odd(attributes)),
  );
  if (!mayDiffer) return undefined;
  return runOnce(model.bytes, feedsOf(model)).then(
    () => undefined,
    ({ message }: Error) =>
      message.includes('[ShapeInferenceError]')
        ? skipped(`onnxruntime infers other shapes than it computes: ${message}`)
        : undefined,
  );
}

async function int8Verdict(
  model: RandomModel,
  runtime: SessionProcess,
): Promise<{ readonly verdict: Verdict; readonly run?: Int8Run }> {
  let run: Int8Run | undefined;
  const verdict = await judged(async () => {
    const answer = await int8Answer(graphOf(model), feedsOf(model), runtime);
    run = answer.run;
    const stored = await runOnce(model.bytes, feedsOf(model));
    return compareOutputs(new Map(Object.entries(stored)), model.bytes, feedsOf(model), answer);
  });
  return { verdict: own(verdict), ...(run && { run }) };
}

/** onnxruntime runs every drawn model: where it refuses one of ours on the way, that is our fault. */
const own = (verdict: Verdict): Verdict =>
  verdict.is === 'refused' && verdict.code === 'NETWORK_REJECTED' ? wrong(verdict.why) : verdict;

/** Type and shape of every value that a node computes. */
function shapesOf(model: RandomModel): Verdict {
  const graph = graphOf(model);
  const shapes = inferShapes(graph);
  countCost(graph);
  for (const name of model.nodes.flatMap(({ outputs }) => outputs)) {
    const computed = model.values.get(name);
    if (!computed) continue;
    const found = shapes.get(name);
    if (!found) return wrong(`${name} got no shape, it is [${computed.dims}]`);
    if (found.dims.join() !== computed.dims.join())
      return wrong(`${name} got the shape [${found.dims}], it is [${computed.dims}]`);
    if (found.dtype !== computed.type)
      return wrong(`${name} got the type ${found.dtype}, it is ${computed.type}`);
  }
  return ok;
}

/** Multiply-accumulates, parameters and weight bytes against a count of the file's own form and onnxruntime's sizes. */
function costOf(model: RandomModel): Verdict {
  const { macs, parameters, weightBytes, uncounted } = countKnownCost(graphOf(model));
  const held = ({ values, constants }: RandomModel, name: string): Given | undefined =>
    values.get(name) ?? constants.get(name)?.given;
  const counted = countOf(model.bytes, (name) => held(model, name)?.dims);
  if (macs === null && counted.macs !== undefined)
    return { is: 'refused', code: 'SHAPE_UNKNOWN', why: uncounted[0]?.reason ?? '' };
  const ours: Count = {
    macs: counted.macs === undefined ? undefined : (macs ?? undefined),
    parameters,
    weightBytes,
  };
  for (const key of ['macs', 'parameters', 'weightBytes'] as const)
    if (ours[key] !== counted[key]) return wrong(`${key} are ${ours[key]}, they are ${counted[key]}`);
  return counted.macs === undefined ? skipped('an operator is not counted independently') : ok;
}

async function rewritten(model: RandomModel): Promise<Verdict> {
  const bytes = writeOnnx(readOnnx(model.bytes));
  return compared(await runOnce(model.bytes, feedsOf(model)), await runOnce(bytes, feedsOf(model)));
}
