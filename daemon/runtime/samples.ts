import { freshNames } from '../network/fresh-names.js';
import { type Graph, int64Tensor, type Node } from '../network/graph.js';

/** Elements of a value that leave the session, each run. */
const perRun = 1024;
/** Elements of a value that are kept over all runs, at most twice as many. */
const kept = 16_384;
/** Parts of a histogram. */
const parts = 512;
/** Multiples of it modulo 1 spread evenly, and keep no step with the channels of an image. */
const golden = (Math.sqrt(5) - 1) / 2;

/** Some elements of a value over all runs, each run's counting alike. */
export class Sample {
  #elements: number[] = [];
  #apart = 1;

  add(elements: ArrayLike<number>): void {
    for (let i = 0; i < elements.length; i += this.#apart) this.#elements.push(elements[i] as number);
    while (this.#elements.length > 2 * kept) {
      this.#elements = this.#elements.filter((_, i) => i % 2 === 0);
      this.#apart *= 2;
    }
  }

  /** How many lie in each of equal parts of a range; undefined for a range that is none. */
  histogram(min: number, max: number): readonly number[] | undefined {
    if (!(max > min) || !Number.isFinite(max - min)) return undefined;
    const counts = new Array<number>(parts).fill(0);
    for (const x of this.#elements) {
      const at = Math.min(parts - 1, Math.max(0, Math.floor(((x - min) / (max - min)) * parts)));
      counts[at] = (counts[at] as number) + 1;
    }
    return counts;
  }
}

/** The graph with a sample of each value as a further output, where the number of elements is known. */
export function withSamples(
  graph: Graph,
  values: readonly string[],
  countOf: (value: string) => number | undefined,
): {
  readonly graph: Graph;
  readonly samples: readonly { readonly value: string; readonly output: string }[];
} {
  const fresh = freshNames(graph);
  const initializers = new Map(graph.initializers);
  const flat = fresh('sample.flat');
  const added: Node[] = [];
  const samples = values.flatMap((value, i) => {
    const count = countOf(value);
    if (!count) return [];
    const [line, places, output] = ['line', 'places', 'sample'].map((name) => fresh(`${name}.${i}`)) as [
      string,
      string,
      string,
    ];
    const taken = Array.from({ length: Math.min(count, perRun) }, (_, k) =>
      count <= perRun ? k : Math.floor(((k * golden) % 1) * count),
    );
    initializers.set(places, int64Tensor(taken));
    const node = (op: string, inputs: string[], made: string): Node => ({
      name: made,
      op,
      domain: '',
      inputs,
      outputs: [made],
      attributes: {},
    });
    added.push(node('Reshape', [value, flat], line), node('Gather', [line, places], output));
    return [{ value, output }];
  });
  if (samples.length === 0) return { graph, samples };
  initializers.set(flat, int64Tensor([-1]));
  const outputs = samples.map(({ output }) => ({ name: output, dtype: 'float32' as const, dims: [null] }));
  return {
    graph: {
      ...graph,
      initializers,
      nodes: [...graph.nodes, ...added],
      outputs: [...graph.outputs, ...outputs],
    },
    samples,
  };
}
