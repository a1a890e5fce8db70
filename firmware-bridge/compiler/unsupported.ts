import { HildaError } from '../../daemon/core/errors.js';
import type { Node } from '../../daemon/network/graph.js';
import { fusedDomain } from './passes/editable-graph.js';

/** The name of a node, or where it has none that of its first output that has one. */
export const nodeName = (node: Node): string =>
  node.name || (node.outputs.find((output) => output !== '') ?? node.op);

/** How networks spell the operators that only the compiler knows. */
const spelling: ReadonlyMap<string, string> = new Map([
  ['Linear', 'MatMul or Gemm'],
  ['ChannelAffine', 'BatchNormalization'],
  ['GeluTanh', 'Gelu'],
  ['Swish', 'Sigmoid and Mul'],
]);

const spelt = ({ op, domain }: Node): string => (domain === fusedDomain ? (spelling.get(op) ?? op) : op);

/** Names the operator that the compiler cannot lower, as the network spells it. */
export const unsupported = (node: Node, why: string, hint?: string): HildaError =>
  new HildaError(
    'OPERATOR_UNSUPPORTED',
    `node ${nodeName(node)} (${spelt(node)}) cannot run on a board: ${why}`,
    {
      ...(hint && { hint }),
      details: { node: nodeName(node), operator: spelt(node) },
    },
  );

/** Runs part of the compiler; what it refuses is told with the network's operator set, which its meaning depends on. */
export function atOpset<T>(opset: number, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof HildaError) || error.code !== 'OPERATOR_UNSUPPORTED') throw error;
    const { operator } = error.details;
    throw new HildaError(
      error.code,
      error.message.replace(`(${operator})`, `(${operator}, opset ${opset})`),
      {
        cause: error,
        hint: error.hint,
        details: { ...error.details, opset },
      },
    );
  }
}
