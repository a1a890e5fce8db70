import { HildaError } from '../core/errors.js';
import { elementCount, type Graph, type Node } from '../network/graph.js';
import { inferShapes } from '../network/infer-shapes.js';
import type { Shape } from '../network/shape-rules/rule.js';
import { writeOnnx } from '../network/write-onnx.js';
import type { CallLimits } from './child-channel.js';
import type { SessionProcess } from './session-process.js';

/** More nodes are not tried one by one. */
const mostTried = 2000;
/** How onnxruntime's words name a node that has a name. */
const namesNode = /[Nn]ode with name '[^']+'|[Nn]ame:\s*'[^']+'|\bNode ?\([^)\s]+\)|\bNode:\s*\w/;

const label = (node: Node): string => node.name || (node.outputs.find((output) => output !== '') ?? node.op);

/**
 * Tells by its node why onnxruntime refuses a network, where its own words name none: each node is loaded by itself until
 * one is refused. Any other error is returned as it is.
 */
export async function toldByNode(
  error: unknown,
  graph: Graph,
  runtime: SessionProcess,
  limits: CallLimits,
): Promise<unknown> {
  if (!(error instanceof HildaError) || error.code !== 'NETWORK_REJECTED' || namesNode.test(error.message))
    return error;
  const node = await refusedNode(graph, runtime, limits);
  if (!node) return error;
  const domain = node.domain === '' ? '' : `${node.domain}.`;
  return new HildaError(
    error.code,
    `node ${label(node)} (${domain}${node.op}, opset ${graph.opset}): onnxruntime refuses it: ${error.message}`,
    {
      cause: error,
      hint: error.hint,
      details: { ...error.details, node: label(node), operator: node.op, opset: graph.opset },
    },
  );
}

/** The first node that onnxruntime does not load by itself; undefined where each one loads. */
async function refusedNode(
  graph: Graph,
  runtime: SessionProcess,
  limits: CallLimits,
): Promise<Node | undefined> {
  let shapes: ReadonlyMap<string, Shape>;
  try {
    shapes = inferShapes(graph);
  } catch {
    return undefined;
  }
  for (const node of graph.nodes.slice(0, mostTried)) {
    const alone = byItself(node, graph, shapes);
    try {
      if (alone) await runtime.release((await runtime.load(writeOnnx(alone), {}, limits)).handle, limits);
    } catch (error) {
      if (error instanceof HildaError && error.code === 'NETWORK_REJECTED') return node;
      if (limits.signal?.aborted) throw error;
    }
  }
  return undefined;
}

/** A network of one node; undefined where a shape it needs is unknown. Large constants are inputs. */
function byItself(node: Node, graph: Graph, shapes: ReadonlyMap<string, Shape>): Graph | undefined {
  const names = [...new Set(node.inputs)].filter((name) => name !== '');
  const isSmall = (name: string): boolean => {
    const tensor = graph.initializers.get(name);
    return tensor !== undefined && elementCount(tensor.dims) <= 65_536;
  };
  const known = (name: string) => {
    const shape = graph.initializers.get(name) ?? shapes.get(name);
    return shape && { name, dtype: shape.dtype, dims: shape.dims };
  };
  const inputs = names.filter((name) => !isSmall(name)).map(known);
  const outputs = node.outputs.filter((name) => name !== '').map(known);
  if ([...inputs, ...outputs].includes(undefined)) return undefined;
  return {
    ...graph,
    inputs: inputs as Graph['inputs'],
    outputs: outputs as Graph['outputs'],
    overridable: [],
    initializers: new Map(
      names.flatMap((name) => {
        const tensor = isSmall(name) ? graph.initializers.get(name) : undefined;
        return tensor ? [[name, tensor] as const] : [];
      }),
    ),
    nodes: [node],
  };
}
