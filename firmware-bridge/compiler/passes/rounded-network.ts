import { freshNames } from '../../../daemon/network/fresh-names.js';
import { floatTensor, type Graph, type Node } from '../../../daemon/network/graph.js';
import { isGraph } from '../../../daemon/network/shape-rules/rule.js';
import type { Quantisation } from '../quantise/quantisation.js';

/** Steps of a value: one scale, or one for each place along an axis. */
export interface Rounding {
  readonly quantisation: Quantisation;
  readonly along?: { readonly axis: number; readonly rank: number; readonly factors: Float64Array };
}

/** A network beside its copy whose values are rounded. */
export interface RoundedNetwork {
  readonly graph: Graph;
  /** The rounded copy of a value, by its name in the network. */
  readonly rounded: ReadonlyMap<string, string>;
}

/** Layers with weights: their biases make good what rounding does to their inputs, on average. */
const layers = new Set(['Conv', 'ConvTranspose', 'Gemm', 'MatMul', 'BatchNormalization']);
/** Layers with a state, whose results are taken as they are. */
const recurrent = new Set(['LSTM', 'GRU', 'RNN']);
/** Max and Min broadcast from this operator set on. */
const firstOpset = 8;

/**
 * Adds a copy of a network whose values are rounded as `roundings` say, each by its name. Layers with constant weights
 * answer in the copy as they do in the network, since their biases are to be corrected: so errors reach from one layer to
 * the next, and no further. Undefined for a network with subgraphs, and for one of old operator sets.
 */
export function roundedNetwork(
  network: Graph,
  roundings: ReadonlyMap<string, Rounding>,
): RoundedNetwork | undefined {
  const hasSubgraphs = network.nodes.some(({ attributes }) => Object.values(attributes).some(isGraph));
  if (hasSubgraphs || network.opset < firstOpset) return undefined;
  const fresh = freshNames(network);
  const initializers = new Map(network.initializers);
  const rounded = new Map<string, string>();
  const added: Node[] = [];
  const constant = (base: string, dims: readonly number[], values: readonly number[]): string => {
    const name = fresh(base);
    initializers.set(name, floatTensor(dims, values));
    return name;
  };
  const half = constant('rounded.half', [], [0.5]);
  const made = (op: string, inputs: readonly string[], base: string): string => {
    const output = fresh(base);
    added.push({ name: output, op, domain: '', inputs, outputs: [output], attributes: {} });
    return output;
  };
  const round = (value: string, exact: string): void => {
    const rounding = roundings.get(value);
    if (!rounding) {
      if (exact !== value) rounded.set(value, exact);
      return;
    }
    const { scale, zeroPoint } = rounding.quantisation;
    const { axis, rank, factors } = rounding.along ?? { axis: 0, rank: 0, factors: new Float64Array([1]) };
    const dims = Array.from({ length: rank }, (_, i) => (i === axis ? factors.length : 1));
    const step = constant(
      `${value}.step`,
      dims,
      Array.from(factors, (factor) => scale * factor),
    );
    const steps = made(
      'Floor',
      [made('Add', [made('Div', [exact, step], `${value}.steps`), half], `${value}.half`)],
      `${value}.floor`,
    );
    const [low, high] = [-128, 127].map((end) => constant(`${value}.end`, [], [end - zeroPoint])) as [
      string,
      string,
    ];
    const held = made('Min', [made('Max', [steps, low], `${value}.low`), high], `${value}.high`);
    rounded.set(value, made('Mul', [held, step], `${value}.rounded`));
  };
  for (const { name } of network.inputs) if (!network.initializers.has(name)) round(name, name);
  const fixed = new Set(network.initializers.keys());
  for (const node of network.nodes) {
    if (node.inputs.every((name) => name === '' || fixed.has(name))) {
      for (const name of node.outputs) fixed.add(name);
      continue;
    }
    const isLayer =
      recurrent.has(node.op) ||
      (layers.has(node.op) && node.inputs.slice(1).every((name) => fixed.has(name)));
    const isCopied = !isLayer && node.inputs.some((name) => rounded.has(name));
    const outputs = node.outputs.map((name) => (isCopied && name ? fresh(`${name}.copy`) : name));
    if (isCopied)
      added.push({
        ...node,
        name: fresh(`${node.name}.copy`),
        inputs: node.inputs.map((name) => rounded.get(name) ?? name),
        outputs,
      });
    node.outputs.forEach((name, i) => {
      if (name) round(name, outputs[i] as string);
    });
  }
  return { graph: { ...network, initializers, nodes: [...network.nodes, ...added] }, rounded };
}

/** The nodes that some of a graph's values are computed from; its outputs are no reason to keep one. */
export function leadingTo(graph: Graph, values: Iterable<string>): Graph {
  const needed = new Set(values);
  const nodes = graph.nodes.reduceRight<Node[]>((kept, node) => {
    if (!node.outputs.some((name) => needed.has(name))) return kept;
    for (const name of node.inputs) needed.add(name);
    kept.push(node);
    return kept;
  }, []);
  const initializers = new Map([...graph.initializers].filter(([name]) => needed.has(name)));
  return { ...graph, nodes: nodes.reverse(), initializers, outputs: [] };
}
