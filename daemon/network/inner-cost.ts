import { HildaError } from '../core/errors.js';
import type { Graph } from './graph.js';
import { loopOf, scanOf, takenBranch } from './shape-rules/control-flow.js';
import { isGraph, ownAttribute, placeText, type RuleInput, type RuleOutput } from './shape-rules/rule.js';

/** What the graphs inside a node cost; a text says why the multiply-accumulates are not known. */
export interface InnerCost {
  readonly macs: number | string;
  /** Not a number where it is not known. */
  readonly bytesMoved: number;
  readonly peak: number;
}

/** What is known of a graph's cost; null where it is not known, and why. */
interface CountedGraph {
  readonly macs: number | null;
  readonly bytesMoved: number | null;
  readonly peakActivationBytes: number | null;
  readonly uncounted: readonly { readonly reason: string }[];
}

type CountInner = (graph: Graph, bound: readonly RuleOutput[]) => CountedGraph;

/** Cost of If, Loop and Scan; undefined for any other operator. */
export function innerCost(input: RuleInput, count: CountInner): InnerCost | undefined {
  const { node } = input;
  if (!['If', 'Loop', 'Scan'].includes(node.op) || !['', 'ai.onnx'].includes(node.domain)) return undefined;
  try {
    if (node.op === 'If') return branchCost(input, count);
    const { body, bound, trips } = node.op === 'Loop' ? loopOf(input) : scanOf(input);
    const cost = count(body, bound);
    const [uncounted] = cost.uncounted;
    return {
      macs:
        cost.macs === 0
          ? 0
          : cost.macs === null
            ? `${placeText(input)} holds an operator that is not counted: ${uncounted?.reason ?? ''}`
            : trips === undefined
              ? `${placeText(input)}: how often it runs is not known`
              : trips * cost.macs,
      bytesMoved: (trips ?? Number.NaN) * (cost.bytesMoved ?? Number.NaN),
      peak: cost.peakActivationBytes ?? Number.NaN,
    };
  } catch (error) {
    if (!(error instanceof HildaError) || error.code === 'ONNX_INVALID') throw error;
    return { macs: error.message, bytesMoved: Number.NaN, peak: Number.NaN };
  }
}

/** A constant condition decides; else both branches must cost the same. The peak is the larger one. */
function branchCost(input: RuleInput, count: CountInner): InnerCost {
  const taken = takenBranch(input);
  const graphs = taken
    ? [taken]
    : ['then_branch', 'else_branch'].map((name) => ownAttribute(input.node, name)).filter(isGraph);
  const costs = graphs.map((graph) => count(graph, []));
  const [first] = costs;
  const agree = (of: (cost: CountedGraph) => number | null): number | null =>
    first && costs.every((cost) => of(cost) === of(first)) ? of(first) : null;
  return {
    macs: agree((cost) => cost.macs) ?? `${placeText(input)}: which of its branches runs is not known`,
    bytesMoved: agree((cost) => cost.bytesMoved) ?? Number.NaN,
    peak: Math.max(...costs.map((cost) => cost.peakActivationBytes ?? Number.NaN)),
  };
}
