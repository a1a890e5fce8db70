import type { Graph } from './graph.js';
import { readsOf } from './weights.js';

/** Bytes of the activations alive while the operators of a graph run, one after the other. */
export class LiveValues {
  readonly #bytesOf: (name: string) => number;
  readonly #isConstant: (name: string) => boolean;
  readonly #lastUse: ReadonlyMap<string, number>;
  readonly #ending = new Map<number, string[]>();
  readonly #alive = new Map<string, number>();
  /** A sum and the number of values of unknown size, which no sum may hold. */
  #bytes = 0;
  #unknown = 0;
  #next = 0;

  constructor(graph: Graph, bytesOf: (name: string) => number, isConstant: (name: string) => boolean) {
    this.#bytesOf = bytesOf;
    this.#isConstant = isConstant;
    this.#lastUse = lastUses(graph);
    for (const [name, index] of this.#lastUse) {
      const names = this.#ending.get(index);
      if (names) names.push(name);
      else this.#ending.set(index, [name]);
    }
    for (const { name } of graph.inputs) this.#start(name);
  }

  /** Bytes alive at node `index`, whose outputs begin there; not a number where a size is unknown. */
  step(index: number, outputs: readonly string[]): number {
    // Constant nodes between make nothing that counts, but may be the last to hold a name.
    for (; this.#next < index; this.#next++) this.#finish(this.#next);
    for (const name of outputs) this.#start(name);
    const bytes = this.#unknown > 0 ? Number.NaN : this.#bytes;
    this.#finish(this.#next++);
    // A value that nothing reads ends where it began.
    for (const name of outputs) if (!this.#lastUse.has(name)) this.#end(name);
    return bytes;
  }

  #finish(index: number): void {
    for (const name of this.#ending.get(index) ?? []) this.#end(name);
  }

  #start(name: string): void {
    if (this.#isConstant(name) || this.#alive.has(name)) return;
    const bytes = this.#bytesOf(name);
    this.#alive.set(name, bytes);
    if (Number.isNaN(bytes)) this.#unknown++;
    else this.#bytes += bytes;
  }

  #end(name: string): void {
    const bytes = this.#alive.get(name);
    if (bytes === undefined) return;
    this.#alive.delete(name);
    if (Number.isNaN(bytes)) this.#unknown--;
    else this.#bytes -= bytes;
  }
}

/** Index of the last node that reads a value; outputs of the graph live to the end. */
function lastUses(graph: Graph): ReadonlyMap<string, number> {
  const last = new Map<string, number>();
  graph.nodes.forEach((node, index) => {
    for (const name of readsOf(node)) last.set(name, index);
  });
  for (const { name } of graph.outputs) last.set(name, graph.nodes.length);
  return last;
}
