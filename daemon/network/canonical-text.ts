import { sha256Hex } from '../core/hash.js';
import type { Attribute, Graph, Node } from './graph.js';
import { isGraph, isTensor } from './shape-rules/rule.js';

/**
 * A graph's structure as text, the same however its values are named and its nodes ordered (in the manner of
 * ONNX-Net's chain form): inputs, constants as type and shape, nodes with their attributes, outputs.
 *
 * Each value gets a hash of how it is computed; nodes are then listed depth first from the outputs, so that the order
 * in the file does not matter. Nodes that no output needs are left out: no runtime executes them.
 */
export function canonicalText(graph: Graph): string {
  return canonicalOrder(graph).lines.join('\n');
}

/** Identifies a network's structure. */
export const structureHash = (graph: Graph): string => sha256Hex(canonicalText(graph));

/** Identifies the contents of a network's constants, taken in canonical order. */
export function weightsHash(graph: Graph): string {
  const parts = canonicalOrder(graph).constants.map((name) => sha256Hex(graph.initializers.get(name)?.data ?? new Uint8Array()));
  return sha256Hex(parts.join('\n'));
}

function canonicalOrder(graph: Graph): { readonly lines: string[]; readonly constants: string[] } {
  const producer = new Map<string, Node>();
  for (const node of graph.nodes) for (const name of node.outputs) if (name) producer.set(name, node);
  const lines: string[] = [`opset ${graph.opset}`];
  const constants: string[] = [];
  const names = new Map<string, string>([['', '']]);
  const written = new Set<Node>();
  graph.inputs.forEach((input, i) => {
    names.set(input.name, `in${i}`);
    lines.push(`in${i}: ${input.dtype}[${input.dims.map((dim) => (typeof dim === 'number' ? dim : '?')).join(',')}]`);
  });

  const write = (node: Node): void => {
    const inputs = node.inputs.map((name) => names.get(name) ?? constantName(name));
    const outputs = node.outputs.map((name) => {
      if (!name) return '';
      names.set(name, `v${names.size}`);
      return names.get(name);
    });
    const attributes = Object.keys(node.attributes).sort().map((key) => `${key}=${attributeText(node.attributes[key] as Attribute)}`);
    lines.push(`${outputs.join(',')} = ${node.domain}${node.domain ? '.' : ''}${node.op}(${inputs.join(',')}) {${attributes.join(' ')}}`);
  };
  const constantName = (name: string): string => {
    const tensor = graph.initializers.get(name);
    const id = `c${constants.length}`;
    constants.push(name);
    names.set(name, id);
    lines.push(`${id}: ${tensor?.dtype ?? '?'}[${tensor?.dims.join(',') ?? '?'}]`);
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
      const waiting = node.inputs.map((name) => producer.get(name)).filter((before) => before && !written.has(before));
      if (waiting.length > 0) {
        stack.push(...waiting.reverse());
        continue;
      }
      write(node);
      written.add(node);
      stack.pop();
    }
  }
  lines.push(`out: ${graph.outputs.map((output) => names.get(output.name) ?? constantName(output.name)).join(',')}`);
  return { lines, constants };
}

function attributeText(value: Attribute): string {
  // Constants inside attributes (Constant nodes) are part of the structure: shapes travel in them.
  if (isTensor(value)) return `${value.dtype}[${value.dims.join(',')}]#${sha256Hex(value.data).slice(0, 16)}`;
  if (isGraph(value)) return `{${canonicalText(value)}}`;
  return JSON.stringify(value);
}
