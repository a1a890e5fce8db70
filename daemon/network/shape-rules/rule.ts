import { HildaError } from '../../core/errors.js';
import type { Attribute, DType, Graph, Node, Tensor } from '../graph.js';

/** A value's type once every dimension is known. */
export interface Shape {
  readonly dtype: DType;
  readonly dims: readonly number[];
}

/** A node and the operator set that it is written for: what a message names. */
export interface Place {
  readonly node: Node;
  readonly opset: number;
}

/** What a rule may ask: the shapes of its node's inputs, and the elements of those that are constant. */
export interface RuleInput extends Place {
  /** Operator set of the default domain that the graph imports: it decides what the node means. */
  readonly opset: number;
  /** Shape of input i. Throws ONNX_INVALID when the input is absent, SHAPE_UNKNOWN when its shape is. */
  shape(i: number): Shape;
  has(i: number): boolean;
  /** Elements of input i as numbers (bool: 0 and 1) when they are known; undefined otherwise. */
  constant(i: number): readonly number[] | undefined;
  /** Outputs of a graph inside the node, whose inputs are `bound` in their order. Throws as `inferShapes`. */
  inner(graph: Graph, bound: readonly RuleOutput[]): readonly RuleOutput[];
}

export interface RuleOutput extends Shape {
  /** Elements, where they are known and few: shapes computed by Shape, Constant, Concat. */
  readonly constant?: readonly number[] | undefined;
}

/** Shapes of a node's outputs by the ONNX operator specification; a hole is an output of unknown shape. */
export type Rule = (input: RuleInput) => readonly (RuleOutput | undefined)[];

/** A rule and the operator sets in which its operator means this. */
export interface RuleEntry {
  readonly rule: Rule;
  readonly since: number;
  /** The last operator set that has the operator. */
  readonly until: number;
}

/** Entries of one rule for several operators, `names` parted by spaces. */
export const rules = (since: number, names: string, rule: Rule, until = Infinity): [string, RuleEntry][] =>
  names.split(' ').map((name) => [name, { rule, since, until }]);

/** "node x (Resize, opset 13)"; a node without a name is told by its output. */
export function placeText(place: Place | Node): string {
  const node = 'node' in place ? place.node : place;
  const operator = node.domain && node.domain !== 'ai.onnx' ? `${node.domain}.${node.op}` : node.op;
  const opset = 'node' in place ? `, opset ${place.opset}` : '';
  return `node ${node.name || node.outputs.find((name) => name !== '') || '?'} (${operator}${opset})`;
}

const errorAt = (
  code: 'ONNX_INVALID' | 'SHAPE_UNKNOWN' | 'OPERATOR_UNSUPPORTED',
  place: Place | Node,
  why: string,
  hint?: string,
): HildaError => {
  const node = 'node' in place ? place.node : place;
  return new HildaError(code, `${placeText(place)}: ${why}`, {
    ...(hint !== undefined && { hint }),
    details: { node: node.name, operator: node.op },
  });
};

export const invalid = (place: Place | Node, why: string): HildaError => errorAt('ONNX_INVALID', place, why);

/** A shape that only running the network would tell; `needs` says what would fix it: "needs constant axes". */
export const unknownShape = (place: Place | Node, needs: string): HildaError =>
  errorAt(
    'SHAPE_UNKNOWN',
    place,
    needs,
    'Fix the open dimensions of the inputs, or export the model with this value as a constant.',
  );

/** What an operator may mean and no rule covers: named, never approximated. */
export const unsupported = (place: Place | Node, what: string): HildaError =>
  errorAt('OPERATOR_UNSUPPORTED', place, what);

/** A whole-number attribute. Throws ONNX_INVALID for one of another type. */
export function intAttribute(node: Node, name: string, fallback: number): number {
  const value = ownAttribute(node, name);
  if (value === undefined) return fallback;
  if (typeof value !== 'number' || !Number.isInteger(value))
    throw invalid(node, `the attribute ${name} must be a whole number`);
  return value;
}

/** A list of whole numbers; undefined where it is absent. Throws ONNX_INVALID for one of another type. */
export function intsAttribute(node: Node, name: string): readonly number[] | undefined {
  const value = ownAttribute(node, name);
  if (value === undefined) return undefined;
  // An empty list has no type once it is read.
  if (!isNumbers(value) || !value.every(Number.isInteger))
    throw invalid(node, `the attribute ${name} must be a list of whole numbers`);
  return value;
}

export function floatsAttribute(node: Node, name: string): readonly number[] | undefined {
  const value = ownAttribute(node, name);
  return isNumbers(value) ? value : undefined;
}

export function stringAttribute(node: Node, name: string, fallback: string): string {
  const value = ownAttribute(node, name);
  return typeof value === 'string' ? value : fallback;
}

export const ownAttribute = (node: Node, name: string): Attribute | undefined =>
  Object.hasOwn(node.attributes, name) ? node.attributes[name] : undefined;

const isNumbers = (value: Attribute | undefined): value is readonly number[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'number');

export const isTensor = (value: Attribute | undefined): value is Tensor =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && 'dtype' in value && 'data' in value;

export const isGraph = (value: Attribute | undefined): value is Graph =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && 'nodes' in value;

/** Throws ONNX_INVALID where an attribute is given that the operator set does not have yet. */
export function attributeSince(input: RuleInput, name: string, since: number): void {
  if (input.opset < since && ownAttribute(input.node, name) !== undefined)
    throw invalid(input, `the attribute ${name} exists from opset ${since}`);
}

/** The elements of input i. Throws SHAPE_UNKNOWN, which names them as `what`, where they are not known. */
export function known(input: RuleInput, i: number, what: string): readonly number[] {
  const { dims } = input.shape(i);
  const values = dims.includes(0) ? [] : input.constant(i);
  if (!values) throw unknownShape(input, `needs constant ${what}`);
  return values;
}

/** Integers that are an attribute before operator set `since` and input i from then on. */
export function movedInts(
  input: RuleInput,
  name: string,
  i: number,
  since: number,
): readonly number[] | undefined {
  const attribute = intsAttribute(input.node, name);
  if (input.opset < since) {
    if (input.has(i))
      throw invalid(input, `${name} is an attribute before opset ${since}, given as an input`);
    return attribute;
  }
  if (attribute) throw invalid(input, `${name} is an input from opset ${since} on, given as an attribute`);
  return input.has(i) ? known(input, i, name) : undefined;
}

/** An axis counted from the front. */
export function axisOf(place: Place | Node, axis: number, rank: number): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (!(positive >= 0 && positive < rank)) throw invalid(place, `axis ${axis} outside rank ${rank}`);
  return positive;
}

/** Axes counted from the front. Throws ONNX_INVALID where one is out of range or named twice. */
export function axesOf(place: Place | Node, axes: readonly number[], rank: number): readonly number[] {
  const positive = axes.map((axis) => axisOf(place, axis, rank));
  if (new Set(positive).size < positive.length) throw invalid(place, `axes [${axes}] name one twice`);
  return positive;
}

/** Multidirectional broadcasting (ONNX, Broadcasting in ONNX). */
export function broadcast(place: Place | Node, ...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(0, ...shapes.map((dims) => dims.length));
  return Array.from({ length: rank }, (_, i) => {
    const sizes = shapes.map((dims) => dims[i - rank + dims.length] ?? 1).filter((size) => size !== 1);
    if (sizes.some((size) => size !== sizes[0]))
      throw invalid(place, `shapes ${shapes.map((d) => `[${d}]`).join(' and ')} do not broadcast`);
    return sizes[0] ?? 1;
  });
}
