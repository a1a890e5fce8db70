import type { Graph } from './graph.js';
import { isGraph } from './shape-rules/rule.js';

/**
 * Makes names that a graph does not contain: neither its values, constants and nodes nor those of its subgraphs. `base`
 * itself where it is free, else `base` with a number behind a dot; no name is given out twice.
 */
export function freshNames(graph: Graph): (base: string) => string {
  const taken = new Set<string>();
  collect(graph, taken);
  return (base) => {
    let name = base;
    for (let count = 2; taken.has(name); count++) name = `${base}.${count}`;
    taken.add(name);
    return name;
  };
}

function collect(graph: Graph, names: Set<string>): void {
  for (const { name } of [...graph.inputs, ...graph.outputs]) names.add(name);
  for (const name of graph.initializers.keys()) names.add(name);
  for (const node of graph.nodes) {
    for (const name of [node.name, ...node.inputs, ...node.outputs]) names.add(name);
    for (const attribute of Object.values(node.attributes)) if (isGraph(attribute)) collect(attribute, names);
  }
}

/** The same, but equal bases give equal names: for what several readers share. */
export function sharedNames(fresh: (base: string) => string): (base: string) => string {
  const known = new Map<string, string>();
  return (base) => {
    const name = known.get(base) ?? fresh(base);
    known.set(base, name);
    return name;
  };
}
