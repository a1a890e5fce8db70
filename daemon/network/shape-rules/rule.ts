import { HildaError } from '../../core/errors.js';
import type { Attribute, DType, Graph, Node, Tensor } from '../graph.js';

/** A value's type once every dimension is known. */
export interface Shape {
  readonly dtype: DType;
  readonly dims: readonly number[];
}

/** What a rule may ask: the shapes of its node's inputs, and the elements of those that are constant. */
export interface RuleInput {
  readonly node: Node;
  /** Operator set of the default domain that the graph imports: it decides what the node means. */
  readonly opset: number;
  /** Shape of input i; throws ONNX_INVALID when the input is absent. */
  shape(i: number): Shape;
  has(i: number): boolean;
  /** Elements of input i as numbers when it is constant; undefined otherwise. */
  constant(i: number): readonly number[] | undefined;
}

export interface RuleOutput extends Shape {
  /** Elements, where the node's output is constant and small: shapes computed by Shape, Constant, Concat. */
  readonly constant?: readonly number[];
}

/** Shapes of a node's outputs by the ONNX operator specification (opset 7 to 21). */
export type Rule = (input: RuleInput) => readonly RuleOutput[];

export const invalid = (node: Node, why: string): HildaError =>
  new HildaError('ONNX_INVALID', `node ${node.name || node.outputs[0]} (${node.op}): ${why}`, {
    details: { node: node.name, operator: node.op },
  });

/** A shape that only running the network would tell. */
export const unknownShape = (node: Node, what: string): HildaError =>
  new HildaError('SHAPE_UNKNOWN', `node ${node.name || node.outputs[0]} (${node.op}): ${what} not constant`, {
    details: { node: node.name, operator: node.op },
  });

export function intAttribute(node: Node, name: string, fallback: number): number {
  const value = node.attributes[name];
  return typeof value === 'number' ? value : fallback;
}

export function intsAttribute(node: Node, name: string): readonly number[] | undefined {
  const value = node.attributes[name];
  return isNumbers(value) ? value : undefined;
}

export function stringAttribute(node: Node, name: string, fallback: string): string {
  const value = node.attributes[name];
  return typeof value === 'string' ? value : fallback;
}

const isNumbers = (value: Attribute | undefined): value is readonly number[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'number');

export const isTensor = (value: Attribute | undefined): value is Tensor =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && 'dtype' in value && 'data' in value;

export const isGraph = (value: Attribute | undefined): value is Graph =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && 'nodes' in value;

/** An axis counted from the front. */
export function axisOf(node: Node, axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (positive < 0 || positive >= rank) throw invalid(node, `axis ${axis} outside rank ${rank}`);
  return positive;
}

/** Multidirectional broadcasting (ONNX, Broadcasting in ONNX). */
export function broadcast(node: Node, ...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, i) => {
    const sizes = shapes.map((dims) => dims[i - rank + dims.length] ?? 1).filter((size) => size !== 1);
    if (sizes.some((size) => size !== sizes[0]))
      throw invalid(node, `shapes ${shapes.map((d) => `[${d}]`).join(' and ')} do not broadcast`);
    return sizes[0] ?? 1;
  });
}
