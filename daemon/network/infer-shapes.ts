import { HildaError } from '../core/errors.js';
import type { DType, Graph, Node, Tensor, ValueInfo } from './graph.js';
import { ruleOf } from './shape-rules/catalogue.js';
import {
  invalid,
  placeText,
  type RuleInput,
  type RuleOutput,
  type Shape,
  unsupported,
} from './shape-rules/rule.js';
import { numbersOf } from './tensor-numbers.js';

/** Graphs inside graphs: what nests deeper is made to exhaust the stack. */
const maxDepth = 32;

/** Shapes of all values so far; grows node by node. Used by `inferShapes` and, step by step, by GraphBuilder. */
export class ShapeTable {
  readonly #opset: number;
  readonly #outer: ShapeTable | undefined;
  readonly #depth: number;
  readonly #shapes = new Map<string, RuleOutput>();
  /** Values that are computed but whose shape is not known, with the reason. */
  readonly #open = new Map<string, string>();

  /**
   * `opset` is the operator set of the default domain that the nodes are written for; `outer` holds the values of the
   * graph around this one.
   */
  constructor(opset: number, outer?: ShapeTable) {
    this.#opset = opset;
    this.#outer = outer;
    this.#depth = outer === undefined ? 0 : outer.#depth + 1;
  }

  declare(name: string, shape: RuleOutput): void {
    this.#shapes.set(name, shape);
    this.#open.delete(name);
  }

  /** Declares a value whose shape is not known; asking for it throws SHAPE_UNKNOWN with the reason. */
  leaveOpen(name: string, reason: string): void {
    if (name !== '' && !this.#shapes.has(name)) this.#open.set(name, reason);
  }

  /** Throws ONNX_INVALID for a value that nothing before it defines, SHAPE_UNKNOWN for one of unknown shape. */
  shapeOf(name: string): Shape {
    const shape = this.#find(name);
    if (shape) return shape;
    throw new HildaError('ONNX_INVALID', `the value ${name} is used before it is defined`);
  }

  #find(name: string): RuleOutput | undefined {
    const shape = this.#shapes.get(name);
    if (shape) return shape;
    const reason = this.#open.get(name);
    if (reason !== undefined)
      throw new HildaError('SHAPE_UNKNOWN', `the shape of ${name} is not known: ${reason}`, {
        details: { value: name },
      });
    const outer = this.#outer;
    return outer === undefined ? undefined : outer.#find(name);
  }

  /** The shape of a value here or in a graph around this one, where it is known. */
  find(name: string): Shape | undefined {
    return this.#shapes.get(name) ?? (this.#open.has(name) ? undefined : this.#outer?.find(name));
  }

  /** Throws OPERATOR_UNSUPPORTED, SHAPE_UNKNOWN, ONNX_INVALID; the table is unchanged then. */
  apply(node: Node): void {
    const input = this.inputOf(node);
    const outputs = ruleOf(input)(input);
    for (const shape of outputs)
      if (shape && !shape.dims.every((size) => Number.isSafeInteger(size) && size >= 0))
        throw invalid(input, `its output would have the shape [${shape.dims}]`);
    node.outputs.forEach((name, i) => {
      if (name === '') return;
      const shape = outputs[i];
      if (shape) this.declare(name, shape);
      else this.leaveOpen(name, `no rule tells output ${i} of ${placeText(input)}`);
    });
  }

  /** What a rule may ask about a node that stands behind the values of this table. */
  inputOf(node: Node): RuleInput {
    const input: RuleInput = {
      node,
      opset: this.#opset,
      has: (i) => Boolean(node.inputs[i]),
      shape: (i) => {
        const name = node.inputs[i];
        if (!name) throw invalid(input, `input ${i} is missing`);
        return this.shapeOf(name);
      },
      constant: (i) => {
        const name = node.inputs[i];
        return name ? this.#find(name)?.constant : undefined;
      },
      inner: (graph, bound) => {
        const inside = this.inside(graph, bound, node);
        return graph.outputs.map(({ name }) => inside.shapeOf(name));
      },
    };
    return input;
  }

  /** The values of a graph inside `node`, which sees this table's values; `bound` are its inputs. */
  inside(graph: Graph, bound: readonly RuleOutput[], node: Node): ShapeTable {
    if (graph.inputs.length !== bound.length)
      throw invalid(node, `its inner graph takes ${graph.inputs.length} inputs, ${bound.length} are given`);
    if (this.#depth >= maxDepth) throw unsupported(node, `graphs inside graphs more than ${maxDepth} deep`);
    const table = new ShapeTable(this.#opset, this);
    graph.inputs.forEach(({ name }, i) => {
      table.declare(name, bound[i] as RuleOutput);
    });
    declareConstants(table, graph);
    for (const inner of graph.nodes) table.apply(inner);
    return table;
  }

  entries(): ReadonlyMap<string, RuleOutput> {
    return this.#shapes;
  }
}

function declareConstants(table: ShapeTable, graph: Graph): void {
  for (const [name, tensor] of graph.initializers) table.declare(name, new ConstantShape(tensor));
}

/** Shape of a constant; its elements are read when a rule asks for them, which is seldom. */
export class ConstantShape implements RuleOutput {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly #tensor: Tensor;
  #read: { readonly numbers: readonly number[] | undefined } | undefined;

  constructor(tensor: Tensor) {
    this.dtype = tensor.dtype;
    this.dims = tensor.dims;
    this.#tensor = tensor;
  }

  get constant(): readonly number[] | undefined {
    this.#read ??= { numbers: numbersOf(this.#tensor) };
    return this.#read.numbers;
  }
}

/** A type with every dimension known. Throws SHAPE_UNKNOWN for an open one and for what is no tensor. */
export function closedShape(value: ValueInfo): Shape {
  const refuse = (what: string, hint: string): HildaError =>
    new HildaError('SHAPE_UNKNOWN', `the input ${value.name} ${what}`, {
      hint,
      details: { input: value.name },
    });
  if (value.container)
    throw refuse(`is a ${value.container}, not a tensor`, 'Export the model with tensors as inputs.');
  if (value.unranked) throw refuse('has no shape', `Give it one with --shape ${value.name}=1,3,224,224.`);
  const open = value.dims.findIndex((dim) => typeof dim !== 'number');
  if (open >= 0) {
    const symbol = value.dims[open];
    const sizes = value.dims.map((dim) => (typeof dim === 'number' ? dim : 1)).join(',');
    throw refuse(
      `has the open dimension ${symbol ?? `${open} (without a name)`}`,
      `Fix it with ${symbol ? `--dim ${symbol}=1` : `--shape ${value.name}=${sizes}`}.`,
    );
  }
  return { dtype: value.dtype, dims: value.dims as number[] };
}

/**
 * Shape and type of every value of a graph: inputs, constants and what the nodes compute.
 * Throws SHAPE_UNKNOWN (open input dimension, shape by contents), OPERATOR_UNSUPPORTED, ONNX_INVALID.
 */
export function inferShapes(graph: Graph): ReadonlyMap<string, Shape> {
  return inferTable(graph).entries();
}

/** `inferShapes`, with all that rules may ask afterwards. */
export function inferTable(graph: Graph): ShapeTable {
  const table = new ShapeTable(graph.opset);
  for (const input of graph.inputs)
    if (!graph.initializers.has(input.name)) table.declare(input.name, closedShape(input));
  declareConstants(table, graph);
  for (const node of graph.nodes) table.apply(node);
  return table;
}

/** The elements that the user feeds an input with, in so far as they may steer shapes: a sample rate, a length. */
function chosen(graph: Graph, name: string): Pick<RuleOutput, 'constant'> {
  const feed = graph.feeds?.get(name);
  const constant = feed && 'data' in feed ? numbersOf(feed) : undefined;
  return { ...(constant && { constant }) };
}

/** A node with an output of unknown shape. */
export interface UnknownNode {
  readonly node: Node;
  /** SHAPE_UNKNOWN or OPERATOR_UNSUPPORTED. */
  readonly reason: HildaError;
}

export interface KnownShapes {
  /** Asking for a value of unknown shape throws SHAPE_UNKNOWN. */
  readonly table: ShapeTable;
  readonly shapes: ReadonlyMap<string, Shape>;
  readonly unknown: readonly UnknownNode[];
}

/**
 * The shapes that can be known, and the nodes where they cannot. `given` fills the gaps: shapes by value name, as one run
 * of the network tells them; where a rule knows better it is not asked. Throws ONNX_INVALID.
 */
export function inferKnownShapes(graph: Graph, given: ReadonlyMap<string, Shape> = new Map()): KnownShapes {
  const table = new ShapeTable(graph.opset);
  const unknown: UnknownNode[] = [];
  const fill = (name: string, reason: string): boolean => {
    const shape = given.get(name);
    if (shape) table.declare(name, { dtype: shape.dtype, dims: shape.dims });
    else table.leaveOpen(name, reason);
    return shape !== undefined;
  };
  for (const input of graph.inputs) {
    if (graph.initializers.has(input.name)) continue;
    const shape = orReason(() => closedShape(input));
    if (shape instanceof HildaError) fill(input.name, shape.message);
    else table.declare(input.name, { ...shape, ...chosen(graph, input.name) });
  }
  declareConstants(table, graph);
  for (const node of graph.nodes) {
    const failure = orReason(() => table.apply(node));
    const open = node.outputs.filter((name) => name !== '' && !table.entries().has(name));
    if (open.length === 0) continue;
    const place = placeText({ node, opset: graph.opset });
    const reason = failure ?? new HildaError('SHAPE_UNKNOWN', `${place}: no rule tells all outputs`);
    const left = open.filter((name) => !fill(name, reason.message));
    if (left.length > 0) unknown.push({ node, reason });
  }
  return { table, shapes: table.entries(), unknown };
}

/** What `run` gives, or the error where it says that something is not known. */
function orReason<T>(run: () => T): T | HildaError {
  try {
    return run();
  } catch (error) {
    const isOpen =
      error instanceof HildaError && ['SHAPE_UNKNOWN', 'OPERATOR_UNSUPPORTED'].includes(error.code);
    if (!isOpen) throw error;
    return error;
  }
}
