import onnxProto from 'onnx-proto';
import { withEveryValue } from '../../test/agreement/disturbed-model.js';
import { type Given, runOnce } from '../../test/agreement/onnxruntime.js';
import { allGraphs, withChosenBranches } from './chosen-branches.js';

const { onnx } = onnxProto;

export interface Count {
  readonly macs: number;
  readonly parameters: number;
  readonly weightBytes: number;
}

const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);
/** Bytes of the element types that stand in real models, by TensorProto.DataType. */
const bytesOf = new Map([
  [1, 4],
  [2, 1],
  [3, 1],
  [6, 4],
  [7, 8],
  [9, 1],
  [10, 2],
  [11, 8],
]);

/** Initialisers and Constant nodes of one graph, by name. */
function constantsOf({
  initializer,
  node,
}: onnxProto.onnx.IGraphProto): [string, onnxProto.onnx.ITensorProto][] {
  const stated = (node ?? []).flatMap(({ opType, attribute, output }) => {
    const value = attribute?.find(({ name }) => name === 'value')?.t;
    return opType === 'Constant' && value ? [[output?.[0] ?? '', value] as const] : [];
  });
  const given = (initializer ?? []).map((tensor) => [tensor.name ?? '', tensor] as const);
  return [...given, ...stated].map(([name, tensor]) => [name, tensor]);
}

/**
 * Multiply-accumulates by the shapes that onnxruntime reports in a run, parameters and bytes by the file's own constants, each
 * once, in all branches. Operators count in the branches that onnxruntime takes. Written apart from daemon/network/cost.ts.
 */
export async function independentCount(
  model: Uint8Array,
  feeds: Readonly<Record<string, Given>>,
): Promise<Count> {
  const whole = onnx.ModelProto.decode(model).graph as onnxProto.onnx.GraphProto;
  const taken = await withChosenBranches(model, feeds);
  const graph = onnx.ModelProto.decode(taken).graph as onnxProto.onnx.GraphProto;
  const values = { ...feeds, ...(await runOnce(withEveryValue(taken), feeds)) };
  const constants = new Map(constantsOf(graph));
  const dims = (name: string | undefined): number[] => {
    const constant = constants.get(name ?? '');
    return constant ? (constant.dims ?? []).map(Number) : [...(values[name ?? '']?.dims ?? [])];
  };
  let macs = 0;
  for (const { opType, input = [], output = [], attribute } of graph.node ?? []) {
    const [x, w] = [dims(input?.[0]), dims(input?.[1])];
    const y = product(dims(output?.[0]));
    const flag = (name: string): boolean =>
      Boolean(Number(attribute?.find((one) => one.name === name)?.i ?? 0));
    if (opType === 'Conv') macs += y * product(w.slice(1));
    if (opType === 'ConvTranspose') macs += product(x) * product(w.slice(1));
    if (opType === 'MatMul') macs += y * (x.at(-1) ?? 1);
    // Gates over inputs and state: input and recurrent weights, [directions, gates, inputs or hidden], once a step.
    if (opType === 'LSTM' || opType === 'GRU')
      macs += (x[0] ?? 1) * (x[1] ?? 1) * (product(w) + product(dims(input?.[2])));
    if (opType === 'Gemm') macs += y * (x[flag('transA') ? 0 : 1] ?? 1);
  }
  // Scales of a Resize or Upsample, and its region of interest, are structure: no training changes them.
  const graphs = allGraphs(whole);
  const structure = new Set(
    graphs
      .flatMap(({ node }) => node ?? [])
      .flatMap(({ opType, input }) =>
        opType === 'Resize' || opType === 'Upsample' ? (input?.slice(1) ?? []) : [],
      ),
  );
  const sizes = graphs.flatMap(constantsOf).map(([name, tensor]) => ({
    isWeight: tensor.dataType !== 7 && tensor.dataType !== 9 && !structure.has(name),
    type: tensor.dataType ?? 1,
    size: product((tensor.dims ?? []).map(Number)),
  }));
  return {
    macs,
    parameters: sizes.filter(({ isWeight }) => isWeight).reduce((sum, { size }) => sum + size, 0),
    weightBytes: sizes.reduce((sum, { type, size }) => sum + size * (bytesOf.get(type) ?? 4), 0),
  };
}
