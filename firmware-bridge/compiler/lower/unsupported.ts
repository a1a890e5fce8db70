import { HildaError } from '../../../daemon/core/errors.js';
import type { Node } from '../../../daemon/network/graph.js';

/** The name of a node, or where it has none that of its first output that has one. */
export const nodeName = (node: Node): string =>
  node.name || (node.outputs.find((output) => output !== '') ?? node.op);

/** Names the operator that the compiler cannot lower, as the network spells it. */
export const unsupported = (node: Node, why: string, hint?: string): HildaError =>
  new HildaError(
    'OPERATOR_UNSUPPORTED',
    `node ${nodeName(node)} (${node.op}) cannot run on a board: ${why}`,
    {
      ...(hint && { hint }),
      details: { node: nodeName(node), operator: node.op },
    },
  );
