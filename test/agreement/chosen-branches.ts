import onnxProto from 'onnx-proto';
import { withEveryValue } from './disturbed-model.js';
import { type Given, numbers, runOnce } from './onnxruntime.js';

const { onnx } = onnxProto;
type GraphProto = onnxProto.onnx.IGraphProto;

/**
 * The model with each If replaced by the branch that onnxruntime takes on these inputs, branches inside branches as well.
 * Works on the file's own form, apart from our reader.
 */
export async function withChosenBranches(
  model: Uint8Array,
  feeds: Readonly<Record<string, Given>>,
): Promise<Uint8Array> {
  let bytes = model;
  for (;;) {
    const proto = onnx.ModelProto.decode(bytes);
    const graph = proto.graph as onnxProto.onnx.GraphProto;
    const constants = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
    const at = graph.node.findIndex(({ opType }) => opType === 'If');
    const node = graph.node[at];
    if (!node) return bytes;
    const values: Readonly<Record<string, Given>> = {
      ...feeds,
      ...(await runOnce(withEveryValue(bytes), feeds)),
    };
    const name = node.input?.[0] ?? '';
    const value = values[name];
    const given = constants.get(name);
    const condition = value ? numbers(value)[0] : (given?.rawData?.[0] ?? given?.int32Data?.[0]);
    const wanted = condition ? 'then_branch' : 'else_branch';
    const branch = node.attribute?.find((one) => one.name === wanted)?.g as GraphProto;
    const outputs = (branch.output ?? []).map((output, i) => ({
      opType: 'Identity',
      input: [output.name ?? ''],
      output: [node.output?.[i] ?? ''],
    }));
    graph.node.splice(at, 1, ...(branch.node ?? []), ...outputs);
    graph.initializer.push(...(branch.initializer ?? []));
    bytes = onnx.ModelProto.encode(proto).finish();
  }
}

/** A graph and all graphs inside it. */
export const allGraphs = (graph: GraphProto): GraphProto[] => [
  graph,
  ...(graph.node ?? []).flatMap(({ attribute }) =>
    (attribute ?? []).flatMap(({ g }) => (g ? allGraphs(g) : [])),
  ),
];
