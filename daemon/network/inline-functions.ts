import onnxProto from 'onnx-proto';
import { invalid, whole } from './onnx-numbers.js';
import { fieldsOf } from './protobuf-fields.js';

const { onnx } = onnxProto;
type NodeProto = onnxProto.onnx.INodeProto;
type GraphProto = onnxProto.onnx.IGraphProto;
type AttributeProto = onnxProto.onnx.IAttributeProto;

/** ModelProto.functions (onnx.proto3). */
export const functionsField = 25;
/** FunctionProto.attribute_proto: attributes with defaults. Newer than the schema of the package. */
const defaultsField = 11;

interface ModelFunction {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly NodeProto[];
  readonly defaults: ReadonlyMap<string, AttributeProto>;
}

/** More nodes than any network has: functions that call functions grow without bound. */
const maxNodes = 100_000;

const key = (domain: string | null | undefined, name: string | null | undefined): string =>
  `${domain ?? ''}\n${name ?? ''}`;

/**
 * The functions that can be spelt out, by domain and name: those written for the model's own operator sets, and not
 * overloaded. `messages` are the model's FunctionProto messages.
 */
export function readFunctions(
  messages: readonly Uint8Array[],
  versions: ReadonlyMap<string, number>,
): ReadonlyMap<string, ModelFunction> {
  const functions = new Map<string, ModelFunction>();
  const overloaded = new Set<string>();
  for (const message of messages) {
    const proto = onnx.FunctionProto.decode(message);
    const id = key(proto.domain, proto.name);
    if (functions.has(id)) overloaded.add(id);
    const fits = proto.opsetImport.every(({ domain, version }) => {
      const own = versions.get(domain === 'ai.onnx' ? '' : (domain ?? ''));
      // A domain that the model does not import is written as version 1.
      return (own ?? 1) === whole(version);
    });
    if (!fits) continue;
    const defaults = [...fieldsOf(message)]
      .filter(({ number }) => number === defaultsField)
      .map(({ bytes }) => onnx.AttributeProto.decode(bytes ?? new Uint8Array()));
    functions.set(id, {
      inputs: proto.input,
      outputs: proto.output,
      nodes: proto.node,
      defaults: new Map(defaults.map((attribute) => [attribute.name ?? '', attribute])),
    });
  }
  for (const id of overloaded) functions.delete(id);
  return functions;
}

/**
 * Spells out the calls of a model's functions, as runtimes do (ONNX IR, "Functions"). Calls of other functions stay.
 * Throws ONNX_INVALID for functions that call each other for ever.
 */
export function inlineFunctions(
  graph: GraphProto,
  functions: ReadonlyMap<string, ModelFunction>,
): GraphProto {
  if (functions.size === 0) return graph;
  const used = new Set<string>();
  collectNames(graph, used);
  let count = 0;
  const fresh = (base: string): string => {
    let name = base;
    for (let i = 1; used.has(name); i++) name = `${base}.${i}`;
    used.add(name);
    return name;
  };

  const expand = (node: NodeProto, depth: number): NodeProto[] => {
    if (++count > maxNodes || depth > 64) throw invalid('its functions call each other without end');
    const called = functions.get(key(node.domain, node.opType));
    if (!called) return [withGraphs(node, (inner) => expandGraph(inner, depth))];
    const names = new Map<string, string>([['', '']]);
    called.inputs.forEach((name, i) => {
      names.set(name, node.input?.[i] ?? '');
    });
    called.outputs.forEach((name, i) => {
      // An output that is an input too needs a node of its own to make it.
      if (names.has(name)) throw invalid(`the function ${node.opType} hands out its input ${name}`);
      names.set(name, node.output?.[i] || fresh(`${node.name || node.opType}/${name}`));
    });
    const given = new Map((node.attribute ?? []).map((attribute) => [attribute.name ?? '', attribute]));
    const label = node.name || node.output?.[0] || node.opType || '';
    return called.nodes.flatMap((inner) =>
      expand(
        renamed(inner, names, (name) => fresh(`${label}/${name}`), { given, defaults: called.defaults }),
        depth + 1,
      ),
    );
  };
  const expandGraph = (inner: GraphProto, depth: number): GraphProto => ({
    ...inner,
    node: (inner.node ?? []).flatMap((node) => expand(node, depth)),
  });
  return expandGraph(graph, 0);
}

interface Attributes {
  readonly given: ReadonlyMap<string, AttributeProto>;
  readonly defaults: ReadonlyMap<string, AttributeProto>;
}

/** A node of a function's body with the caller's names and attributes. */
function renamed(
  node: NodeProto,
  names: Map<string, string>,
  fresh: (name: string) => string,
  attributes: Attributes,
): NodeProto {
  const local = (name: string): string => {
    const known = names.get(name);
    if (known !== undefined) return known;
    const made = fresh(name);
    names.set(name, made);
    return made;
  };
  const inner = (graph: GraphProto): GraphProto => ({
    ...graph,
    input: (graph.input ?? []).map((value) => ({ ...value, name: local(value.name ?? '') })),
    initializer: (graph.initializer ?? []).map((tensor) => ({ ...tensor, name: local(tensor.name ?? '') })),
    node: (graph.node ?? []).map((each) => renamed(each, names, fresh, attributes)),
    output: (graph.output ?? []).map((value) => ({ ...value, name: local(value.name ?? '') })),
  });
  const attribute = (node.attribute ?? []).flatMap((each): AttributeProto[] => {
    if (!each.refAttrName) return [each];
    const value = attributes.given.get(each.refAttrName) ?? attributes.defaults.get(each.refAttrName);
    return value ? [{ ...value, name: each.name ?? '' }] : [];
  });
  return withGraphs(
    {
      ...node,
      name: node.name ? fresh(node.name) : '',
      input: (node.input ?? []).map(local),
      output: (node.output ?? []).map(local),
      attribute,
    },
    inner,
  );
}

/** The node with `change` applied to each graph inside it. */
function withGraphs(node: NodeProto, change: (graph: GraphProto) => GraphProto): NodeProto {
  if (!node.attribute?.some(({ g }) => g)) return node;
  const attribute = node.attribute.map((each) => (each.g ? { ...each, g: change(each.g) } : each));
  return { ...node, attribute };
}

function collectNames(graph: GraphProto, used: Set<string>): void {
  for (const { name } of [...(graph.input ?? []), ...(graph.initializer ?? []), ...(graph.output ?? [])])
    used.add(name ?? '');
  for (const { values } of graph.sparseInitializer ?? []) used.add(values?.name ?? '');
  for (const node of graph.node ?? []) {
    for (const name of [node.name ?? '', ...(node.input ?? []), ...(node.output ?? [])]) used.add(name);
    for (const { g } of node.attribute ?? []) if (g) collectNames(g, used);
  }
}
