import { HildaError } from '../core/errors.js';
import type { Graph, Node, ValueInfo } from './graph.js';
import { arithmeticRules } from './shape-rules/arithmetic.js';
import { layoutRules } from './shape-rules/layout.js';
import { invalid, type Rule, type RuleInput, type RuleOutput, type Shape } from './shape-rules/rule.js';
import { windowRules } from './shape-rules/windows.js';
import { numbersOf } from './tensor-numbers.js';

const rules: Readonly<Record<string, Rule>> = { ...arithmeticRules, ...layoutRules, ...windowRules };

/** The operators whose shapes are known, for messages and tests. */
export const knownOperators: readonly string[] = Object.keys(rules).sort();

/** Shapes of all values so far; grows node by node. Used by `inferShapes` and, step by step, by GraphBuilder. */
export class ShapeTable {
  readonly #opset: number;
  readonly #shapes = new Map<string, RuleOutput>();

  /** `opset` is the operator set of the default domain that the nodes are written for. */
  constructor(opset: number) {
    this.#opset = opset;
  }

  declare(name: string, shape: RuleOutput): void {
    this.#shapes.set(name, shape);
  }

  /** Throws ONNX_INVALID for a value that nothing before it defines. */
  shapeOf(name: string): Shape {
    const shape = this.#shapes.get(name);
    if (!shape) throw new HildaError('ONNX_INVALID', `the value ${name} is used before it is defined`);
    return shape;
  }

  /** Throws OPERATOR_UNSUPPORTED, ONNX_INVALID. */
  apply(node: Node): void {
    const rule =
      node.domain === '' || node.domain === 'ai.onnx' || node.op === 'Gelu' ? rules[node.op] : undefined;
    if (!rule) {
      const operator = node.domain ? `${node.domain}.${node.op}` : node.op;
      throw new HildaError(
        'OPERATOR_UNSUPPORTED',
        `node ${node.name || node.outputs[0]}: the operator ${operator} is not supported`,
        { details: { operator, node: node.name } },
      );
    }
    const input: RuleInput = {
      node,
      opset: this.#opset,
      has: (i) => Boolean(node.inputs[i]),
      shape: (i) => {
        const name = node.inputs[i];
        if (!name) throw invalid(node, `input ${i} is missing`);
        return this.shapeOf(name);
      },
      constant: (i) => this.#shapes.get(node.inputs[i] ?? '')?.constant,
    };
    const outputs = rule(input);
    node.outputs.forEach((name, i) => {
      // Optional outputs (MaxPool's indices, LayerNormalization's statistics) are used by nothing we run.
      const shape = outputs[i];
      if (!name || !shape) return;
      if (!shape.dims.every((size) => Number.isSafeInteger(size) && size >= 0))
        throw invalid(node, `its output would have the shape [${shape.dims}]`);
      this.declare(name, shape);
    });
  }

  entries(): ReadonlyMap<string, RuleOutput> {
    return this.#shapes;
  }
}

/** A type with every dimension known. Throws SHAPE_UNKNOWN for an open one. */
export function closedShape(value: ValueInfo): Shape {
  const open = value.dims.find((dim) => typeof dim !== 'number');
  if (open !== undefined)
    throw new HildaError('SHAPE_UNKNOWN', `the input ${value.name} has the open dimension ${open ?? '?'}`, {
      details: { input: value.name },
    });
  return { dtype: value.dtype, dims: value.dims as number[] };
}

/**
 * Shape and type of every value of a graph: inputs, constants and what the nodes compute.
 * Throws SHAPE_UNKNOWN (open input dimension), OPERATOR_UNSUPPORTED, ONNX_INVALID.
 */
export function inferShapes(graph: Graph): ReadonlyMap<string, Shape> {
  const table = new ShapeTable(graph.opset);
  for (const input of graph.inputs)
    if (!graph.initializers.has(input.name)) table.declare(input.name, closedShape(input));
  for (const [name, tensor] of graph.initializers) {
    const constant = numbersOf(tensor);
    table.declare(name, { dtype: tensor.dtype, dims: tensor.dims, ...(constant && { constant }) });
  }
  for (const node of graph.nodes) table.apply(node);
  return table.entries();
}
