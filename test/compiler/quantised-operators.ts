import type { Graph, Node } from '../../daemon/network/graph.js';

/** What onnxruntime calls each operator on integers, and its domain. */
const spelt: ReadonlyMap<string, readonly [op: string, domain: string]> = new Map([
  ['Conv', ['QLinearConv', '']],
  ['MatMul', ['QLinearMatMul', '']],
  ...['Add', 'Mul', 'Sigmoid', 'LeakyRelu', 'GlobalAveragePool', 'AveragePool', 'Concat', 'Softmax'].map(
    (op): [string, [string, string]] => [op, [`QLinear${op}`, 'com.microsoft']],
  ),
  ['Gemm', ['QGemm', 'com.microsoft']],
]);

/**
 * The same network with each operator between pairs as one on integers, as tools write their other form. Activations between
 * an operator and its pair stay as they are, and so does what has no such form.
 */
export function withIntegerOperators(graph: Graph): Graph {
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node])));
  const readers = (name: string): Node[] => graph.nodes.filter(({ inputs }) => inputs.includes(name));
  const nodes = graph.nodes.flatMap((node): Node[] => {
    const made = node.outputs[0] as string;
    if (node.op === 'QuantizeLinear') {
      const maker = producers.get(node.inputs[0] as string);
      return maker && isWhole(maker) ? [] : [node];
    }
    if (!isWhole(node)) return [node];
    const [op, domain] = spelt.get(node.op) as readonly [string, string];
    const [pair] = readers(made) as [Node];
    const [scale, zero] = pair.inputs.slice(1) as [string, string];
    const operands = node.inputs.map((name) => producers.get(name)?.inputs as readonly string[]);
    const triples = operands.slice(0, ['Conv', 'Gemm'].includes(node.op) ? 2 : undefined);
    const flat = triples.flatMap(([q, s, z]) => [q as string, s as string, z ?? '']);
    const bias = ['Conv', 'Gemm'].includes(node.op) ? [operands[2]?.[0] ?? ''] : [];
    const inputs =
      node.op === 'Concat'
        ? [scale, zero, ...flat]
        : node.op === 'Gemm'
          ? [...flat, ...bias, scale, zero]
          : [...flat, scale, zero, ...bias];
    return [{ ...node, op, domain, inputs, outputs: pair.outputs }];
  });
  const needed = new Set([
    ...graph.outputs.map(({ name }) => name),
    ...nodes.flatMap(({ inputs }) => inputs),
  ]);
  return {
    ...graph,
    domains: new Map([['com.microsoft', 1]]),
    nodes: nodes.filter(({ outputs }) => outputs.some((name) => needed.has(name))),
  };

  function isWhole({ op, inputs, outputs }: Node): boolean {
    const behind = readers(outputs[0] as string);
    return (
      spelt.has(op) &&
      behind.length === 1 &&
      behind[0]?.op === 'QuantizeLinear' &&
      inputs.every((name) => producers.get(name)?.op === 'DequantizeLinear')
    );
  }
}
