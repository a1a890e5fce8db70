import { type Attribute, type Graph, type Node, origin, type ValueInfo } from './graph.js';
import { isGraph } from './shape-rules/rule.js';

/** Where a part's origin travels: structured clones leave symbols out. */
const carried = '[origin]';

type Part = { readonly [origin]?: unknown };

/**
 * A graph as a message between processes. What its parts were read from goes with them, so that the other side writes the
 * same file. Identities hold within one message: an unchanged attribute is still the one it was read as.
 */
export function packGraph(graph: Graph): Graph {
  return mapGraph(graph, (part) => {
    const kept = part[origin];
    return kept === undefined ? part : { ...without(part), [carried]: kept };
  });
}

/** The other way; `message` is what arrived. */
export function unpackGraph(message: Graph): Graph {
  return mapGraph(message, (part) => {
    if (!Object.hasOwn(part, carried)) return part;
    const { [carried]: kept, ...rest } = part as unknown as { readonly [carried]: unknown };
    return { ...rest, [origin]: kept } as typeof part;
  });
}

/** Applies `change` to the graph, its nodes and its values, those of inner graphs too. */
function mapGraph(graph: Graph, change: <T extends Part>(part: T) => T): Graph {
  const seen = new Map<Attribute, Attribute>();
  const attribute = (given: Attribute): Attribute => {
    if (!isGraph(given)) return given;
    const known = seen.get(given);
    if (known) return known;
    const mapped = inner(given);
    seen.set(given, mapped);
    return mapped;
  };
  const node = (given: Node): Node => {
    if (!Object.values(given.attributes).some(isGraph)) return change(given);
    const attributes = Object.fromEntries(
      Object.entries(given.attributes).map(([name, value]) => [name, attribute(value)]),
    );
    return change({ ...withOrigin(given, attribute), attributes });
  };
  const values = (given: readonly ValueInfo[]): ValueInfo[] => given.map((value) => change(value));
  const inner = (given: Graph): Graph =>
    change({
      ...given,
      inputs: values(given.inputs),
      outputs: values(given.outputs),
      ...(given.overridable && { overridable: values(given.overridable) }),
      nodes: given.nodes.map(node),
    });
  return inner(graph);
}

/** A node that holds graphs, its record of what they were read as pointing at the mapped ones. */
function withOrigin(node: Node, mapped: (value: Attribute) => Attribute): Node {
  const place = node[origin] === undefined ? carried : origin;
  const read = (node as unknown as Record<string | symbol, unknown>)[place];
  if (!(read instanceof Map)) return node;
  const entries = [...(read as ReadonlyMap<string, { readonly value: Attribute }>)];
  const record = new Map(entries.map(([name, one]) => [name, { ...one, value: mapped(one.value) }]));
  return { ...node, [place]: record };
}

const without = <T extends Part>({ [origin]: _, ...rest }: T): T => rest as T;
