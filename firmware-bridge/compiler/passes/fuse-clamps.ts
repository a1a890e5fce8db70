import type { Node } from '../../../daemon/network/graph.js';
import type { EditableGraph } from './editable-graph.js';

/** Ends that may carry limits, so that a Relu or Clip behind them costs nothing. */
const clampable = new Set(['Conv', 'Linear', 'Add', 'MatMul']);

/** Relu and Clip become the limits `min` and `max` of the operator before them. */
export function fuseClamps(graph: EditableGraph): void {
  for (const old of graph.nodes) {
    const node = graph.producer(old.outputs[0]);
    if (node?.op !== 'Relu' && node?.op !== 'Clip') continue;
    const before = graph.producer(node.inputs[0]);
    if (!before || !clampable.has(before.op) || graph.onlyConsumer(node.inputs[0] as string) !== node)
      continue;
    const limits = clampOf(graph, node);
    if (!limits || 'min' in before.attributes || 'max' in before.attributes) continue;
    const { min, max } = limits;
    graph.remove([before]);
    graph.replace(node, {
      ...before,
      outputs: node.outputs,
      attributes: {
        ...before.attributes,
        ...(min !== undefined && { min }),
        ...(max !== undefined && { max }),
      },
    });
  }
}

export interface Clamp {
  readonly min: number | undefined;
  readonly max: number | undefined;
}

/**
 * The limits of Relu or Clip: attributes up to opset 10, inputs from 11 on, either of which may be left out. Undefined
 * where one is no constant number. Where the least is above the most, the most is the answer to everything.
 */
export function clampOf(graph: Pick<EditableGraph, 'scalar'>, node: Node): Clamp | undefined {
  if (node.op === 'Relu') return { min: 0, max: undefined };
  let isKnown = true;
  const limit = (i: number, name: string): number | undefined => {
    const attribute = node.attributes[name];
    const value = node.inputs[i] ? graph.scalar(node.inputs[i]) : attribute;
    const isGiven = Boolean(node.inputs[i]) || attribute !== undefined;
    if (isGiven && (typeof value !== 'number' || Number.isNaN(value))) isKnown = false;
    return typeof value === 'number' ? value : undefined;
  };
  const [min, max] = [limit(1, 'min'), limit(2, 'max')];
  if (!isKnown) return undefined;
  return { min: min !== undefined && max !== undefined ? Math.min(min, max) : min, max };
}
