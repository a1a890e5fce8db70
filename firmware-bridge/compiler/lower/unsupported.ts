import { HildaError } from '../../../daemon/core/errors.js';
import type { Node } from '../../../daemon/network/graph.js';

export const nodeName = (node: Node): string => node.name || (node.outputs[0] ?? node.op);

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
