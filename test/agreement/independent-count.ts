import onnxProto from 'onnx-proto';
import { allGraphs, withChosenBranches } from './chosen-branches.js';
import { withEveryValue } from './disturbed-model.js';
import { type Given, runOnce } from './onnxruntime.js';

const { onnx } = onnxProto;
type GraphProto = onnxProto.onnx.IGraphProto;

export interface Count {
  /** Undefined where an operator's are not counted here. */
  readonly macs: number | undefined;
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

/** Sizes of each value that a run computes. */
type Sizes = (name: string) => readonly number[] | undefined;

/**
 * Multiply-accumulates by the shapes that onnxruntime reports in a run, in the branches that it takes. Parameters and bytes
 * by the file's own constants, each once, in all branches; a constant that no node reads is no parameter. Written apart from
 * daemon/network/cost.ts.
 */
export async function independentCount(
  model: Uint8Array,
  feeds: Readonly<Record<string, Given>>,
): Promise<Count> {
  const taken = await withChosenBranches(model, feeds);
  const values = { ...feeds, ...(await runOnce(withEveryValue(taken), feeds)) };
  return countOf(model, (name) => (Object.hasOwn(values, name) ? values[name]?.dims : undefined), taken);
}

/** As `independentCount`, of sizes that are known; `taken` is the model with the branches that a run takes. */
export function countOf(model: Uint8Array, sizes: Sizes, taken = model): Count {
  const whole = onnx.ModelProto.decode(model).graph as GraphProto;
  const graph = onnx.ModelProto.decode(taken).graph as GraphProto;
  const constants = new Map(constantsOf(graph));
  const dims = (name: string | undefined): readonly number[] => {
    const constant = constants.get(name ?? '');
    const found = constant ? (constant.dims ?? []).map(Number) : sizes(name ?? '');
    if (!found) throw new UnknownSize();
    return found;
  };
  const counts = (graph.node ?? []).map((node) => {
    try {
      return macsOf(node, dims);
    } catch (error) {
      if (error instanceof UnknownSize) return undefined;
      throw error;
    }
  });
  const graphs = allGraphs(whole);
  const nodes = graphs.flatMap(({ node }) => node ?? []);
  // What one node reads as sizes and another as values is a weight.
  const read = new Set(
    nodes.flatMap((node) => {
      const structure = structuralNames(node);
      return (node.input ?? []).filter((name) => !structure.includes(name));
    }),
  );
  const all = graphs.flatMap(constantsOf).map(([name, tensor]) => ({
    isWeight: read.has(name) && tensor.dataType !== 7 && tensor.dataType !== 9,
    type: tensor.dataType ?? 1,
    size: product((tensor.dims ?? []).map(Number)),
  }));
  return {
    macs: counts.includes(undefined) ? undefined : counts.reduce<number>((a, b) => a + (b ?? 0), 0),
    parameters: all.filter(({ isWeight }) => isWeight).reduce((sum, { size }) => sum + size, 0),
    weightBytes: all.reduce((sum, { type, size }) => sum + size * (bytesOf.get(type) ?? 4), 0),
  };
}

/** onnxruntime gives no value of the name `__proto__`, for one. */
class UnknownSize extends Error {}

const products = new Set([
  'Conv',
  'ConvInteger',
  'QLinearConv',
  'ConvTranspose',
  'MatMul',
  'MatMulInteger',
  'QLinearMatMul',
  'LSTM',
  'GRU',
  'Gemm',
]);
/** Operators with products that this count leaves out. */
const left = new Set(['Einsum', 'RNN', 'Attention', 'If', 'Loop', 'Scan', 'DeformConv']);

function macsOf(
  { opType, input, output, attribute }: onnxProto.onnx.INodeProto,
  dims: (name: string | undefined) => readonly number[],
): number | undefined {
  if (left.has(opType ?? '')) return undefined;
  if (!products.has(opType ?? '')) return 0;
  const [x, w] = [dims(input?.[0]), dims(input?.[1])];
  const y = (): number => product(dims(output?.[0]));
  const flag = (name: string): boolean =>
    Boolean(Number(attribute?.find((one) => one.name === name)?.i ?? 0));
  switch (opType) {
    case 'Conv':
    case 'ConvInteger':
      return y() * product(w.slice(1));
    case 'QLinearConv':
      return y() * product(dims(input?.[3]).slice(1));
    case 'ConvTranspose':
      return product(x) * product(w.slice(1));
    case 'MatMul':
    case 'MatMulInteger':
    case 'QLinearMatMul':
      return y() * (x.at(-1) ?? 1);
    // Gates over inputs and state: input and recurrent weights, [directions, gates, inputs or hidden], once a step.
    case 'LSTM':
    case 'GRU': {
      const [steps, batch] = x as [number, number];
      return steps * batch * (product(w) + product(dims(input?.[2])));
    }
    case 'Gemm':
      return y() * (x[flag('transA') ? 0 : 1] ?? 1);
    default:
      return undefined;
  }
}

/** Constants that say where and how large, of any type: no training changes them. */
function structuralNames({ opType, input }: onnxProto.onnx.INodeProto): readonly string[] {
  const names = input ?? [];
  if (opType === 'Resize' || opType === 'Upsample') return names.slice(1);
  if (opType === 'Gather' || opType === 'OneHot' || opType === 'CumSum') return names.slice(1, 2);
  if (opType?.startsWith('Gather') || opType?.startsWith('Scatter')) return names.slice(1, 2);
  if (opType === 'Slice') return names.slice(1);
  if (opType === 'Range') return names;
  return opType === 'Dropout' ? names.slice(1) : [];
}
