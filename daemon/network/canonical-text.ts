import { HildaError } from '../core/errors.js';
import { sha256Hex } from '../core/hash.js';
import type { Attribute, Graph, Node, Tensor } from './graph.js';
import { isGraph, isTensor } from './shape-rules/rule.js';
import { numbersOf } from './tensor-numbers.js';

/**
 * A graph's structure as text, the same however its values are named and its nodes ordered (in the manner of
 * ONNX-Net's chain form): inputs, constants as type and shape, nodes with their attributes, outputs.
 *
 * Nodes are listed depth first from the outputs and numbered as they come, so that the order in the file does not
 * matter. Nodes that no output needs are left out: no runtime executes them. Constants that only steer a shape
 * (Reshape's target, Slice's bounds: attributes in older operator sets) are written with their elements.
 * Throws ONNX_INVALID for a graph with a cycle.
 */
export function canonicalText(graph: Graph): string {
  return canonicalOrder(graph).lines.join('\n');
}

/** Identifies a network's structure. */
export const structureHash = (graph: Graph): string => sha256Hex(canonicalText(graph));

/** Identifies the contents of a network's constants, taken in canonical order. */
export const weightsHash = (graph: Graph): string => networkHashes(graph).weightsHash;

/** Both hashes of a network, for the price of one. */
export function networkHashes(graph: Graph): {
  readonly structureHash: string;
  readonly weightsHash: string;
} {
  const { lines, constants } = canonicalOrder(graph);
  return {
    structureHash: sha256Hex(lines.join('\n')),
    weightsHash: sha256Hex(constants.map(contentHash).join('\n')),
  };
}

/** Identifies a constant's elements. */
const contentHash = ({ data, strings }: Tensor): string =>
  sha256Hex(strings ? strings.map(sha256Hex).join() : data);

/** Inputs that steer an operator's shapes and hold no weights, by operator. */
const structuralInputs = new Map<string, readonly number[]>(
  Object.entries({
    Reshape: [1],
    Slice: [1, 2, 3, 4],
    Split: [1],
    Pad: [1, 3],
    Expand: [1],
    Tile: [1],
    Squeeze: [1],
    Unsqueeze: [1],
    ConstantOfShape: [0],
    Resize: [2, 3],
    ReduceMean: [1],
    ReduceSum: [1],
    ReduceMax: [1],
    ReduceMin: [1],
    ReduceProd: [1],
    ReduceL2: [1],
    ReduceSumSquare: [1],
    ReduceL1: [1],
    ReduceLogSum: [1],
    ReduceLogSumExp: [1],
    Upsample: [1],
    TopK: [1],
    OneHot: [1],
  }),
);

/** Values of the surrounding graph that the graphs inside a node (If, Loop) read. */
function captured(node: Node): string[] {
  return Object.values(node.attributes).flatMap((value) => {
    if (!isGraph(value)) return [];
    const own = new Set([
      ...value.inputs.map((input) => input.name),
      ...value.initializers.keys(),
      ...value.nodes.flatMap((inner) => inner.outputs),
    ]);
    const read = [
      ...value.nodes.flatMap((inner) => [...inner.inputs, ...captured(inner)]),
      ...value.outputs.map((output) => output.name),
    ];
    return read.filter((name) => name !== '' && !own.has(name));
  });
}

function canonicalOrder(
  graph: Graph,
  outer: ReadonlyMap<string, string> = new Map(),
): { readonly lines: string[]; readonly constants: Tensor[] } {
  const producer = new Map<string, Node>();
  for (const node of graph.nodes) for (const name of node.outputs) if (name) producer.set(name, node);
  const lines: string[] = [`opset ${graph.opset}`];
  const used = new Set(graph.nodes.map(({ domain }) => domain));
  for (const [domain, version] of [...(graph.domains ?? [])].sort())
    if (version !== 1 && used.has(domain)) lines.push(`domain ${domain} ${version}`);
  if (graph.functions) lines.push(`functions ${graph.functions}`);
  const overridable = new Set(graph.overridable?.map(({ name }) => name));
  const constants: Tensor[] = [];
  const names = new Map<string, string>([...outer].map(([name, id]) => [name, id && `^${id}`]));
  names.set('', '');
  const needs = new Map<Node, string[]>();
  const written = new Set<Node>();
  graph.inputs.forEach((input, i) => {
    names.set(input.name, `in${i}`);
    lines.push(
      `in${i}: ${input.dtype}[${input.dims.map((dim) => (typeof dim === 'number' ? dim : '?')).join(',')}]`,
    );
  });

  const write = (node: Node): void => {
    const structural = structuralInputs.get(node.op) ?? [];
    const inputs = node.inputs.map((name, i) => {
      const id = names.get(name) ?? constantName(name);
      const tensor = structural.includes(i) ? graph.initializers.get(name) : undefined;
      const elements = tensor && numbersOf(tensor);
      return elements ? `${id}=[${elements}]` : id;
    });
    for (const name of captured(node)) if (!names.has(name)) constantName(name);
    const attributes = Object.keys(node.attributes)
      .sort()
      .map((key) => `${key}=${attributeText(node.attributes[key] as Attribute, names, constants)}`);
    const outputs = node.outputs.map((name) => {
      if (!name) return '';
      names.set(name, `v${names.size}`);
      return names.get(name);
    });
    lines.push(
      `${outputs.join(',')} = ${node.domain}${node.domain ? '.' : ''}${node.op}(${inputs.join(',')}) {${attributes.join(' ')}}`,
    );
  };
  const constantName = (name: string): string => {
    const tensor = graph.initializers.get(name);
    const id = `c${names.size}`;
    if (tensor) constants.push(tensor);
    names.set(name, id);
    // A runtime folds no constant that a caller may replace.
    const suffix = overridable.has(name) ? ' overridable' : '';
    lines.push(`${id}: ${tensor?.dtype ?? '?'}[${tensor?.dims.join(',') ?? '?'}]${suffix}`);
    return id;
  };
  // Depth first without recursion: deep networks would overflow the stack.
  for (const output of graph.outputs) {
    const stack = [producer.get(output.name)];
    while (stack.length > 0) {
      const node = stack.at(-1);
      if (!node || written.has(node)) {
        stack.pop();
        continue;
      }
      const entered = needs.has(node);
      const reads = needs.get(node) ?? [...node.inputs, ...captured(node)];
      needs.set(node, reads);
      const waiting = reads
        .map((name) => producer.get(name))
        .filter((before) => before && !written.has(before));
      if (waiting.length > 0) {
        // All it waits for was written before it came up again, unless something there waits for it.
        if (entered)
          throw new HildaError('ONNX_INVALID', `node ${node.name || node.op} depends on its own output`);
        stack.push(...waiting.reverse());
        continue;
      }
      write(node);
      written.add(node);
      stack.pop();
    }
  }
  lines.push(
    `out: ${graph.outputs.map((output) => names.get(output.name) ?? constantName(output.name)).join(',')}`,
  );
  return { lines, constants };
}

function attributeText(value: Attribute, names: ReadonlyMap<string, string>, constants: Tensor[]): string {
  // Constants inside attributes (Constant nodes) are part of the structure: shapes travel in them.
  if (isTensor(value)) return `${value.dtype}[${value.dims.join(',')}]#${contentHash(value).slice(0, 16)}`;
  if (isGraph(value)) {
    const inside = canonicalOrder(value, names);
    constants.push(...inside.constants);
    return `{${inside.lines.join('\n')}}`;
  }
  return JSON.stringify(value, (_, part) => (typeof part === 'number' ? asStored(part) : part));
}

/** ONNX stores float attributes as float32: a number is the same before a network was written and after it was read. */
function asStored(value: number): number {
  if (Number.isInteger(value) || !Number.isFinite(value)) return value;
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return Math.fround(value);
}
