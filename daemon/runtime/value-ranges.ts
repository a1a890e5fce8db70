import { freshNames } from '../network/fresh-names.js';
import type { DType, Graph, Node } from '../network/graph.js';
import { inferShapes } from '../network/infer-shapes.js';
import { writeOnnx } from '../network/write-onnx.js';
import { elementsOf, floatsFrom, isElementType } from './element-types.js';
import type { RuntimeTensors } from './messages.js';
import type { SessionProcess } from './session-process.js';

export interface ValueRangeOptions {
  readonly signal: AbortSignal;
  /**
   * How the extremes of the inputs are put together: the furthest of all (default), or their mean, which single outliers
   * move less where each input is a batch (Krishnamoorthi 2018, section 3.1.2).
   */
  readonly across?: 'furthest' | 'mean';
}

/**
 * Smallest and largest element of each value of a network over the given inputs: what quantisation is calibrated with.
 * Values that the network does not compute, and those that are no numbers, are left out. Feeds take the types of the
 * network's inputs.
 */
export async function valueRanges(
  graph: Graph,
  values: readonly string[],
  feeds: Iterable<RuntimeTensors> | AsyncIterable<RuntimeTensors>,
  runtime: SessionProcess,
  { signal, across = 'furthest' }: ValueRangeOptions,
): Promise<ReadonlyMap<string, { readonly min: number; readonly max: number }>> {
  const known = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.nodes.flatMap((node) => node.outputs),
  ]);
  const typeOf = typesOf(graph);
  const asked = values.filter((value) => known.has(value) && numeric.has(typeOf(value)));
  const extremes = withExtremes(graph, asked, typeOf);
  const { handle } = await runtime.load(writeOnnx(extremes.graph), { arena: false }, { signal });
  try {
    const seen = asked.map(() => ({ min: [] as number[], max: [] as number[] }));
    for await (const feed of feeds) {
      const answer = await runtime.run(handle, fitted(graph, feed), {}, { signal });
      for (const [i, { min, max }] of seen.entries()) {
        min.push(Number(answer[extremes.least[i] as string]?.data[0]));
        max.push(Number(answer[extremes.most[i] as string]?.data[0]));
      }
    }
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    return new Map(
      asked.map((name, i) => {
        const { min, max } = seen[i] as { min: number[]; max: number[] };
        return [
          name,
          across === 'mean'
            ? { min: mean(min), max: mean(max) }
            : {
                min: min.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY),
                max: max.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY),
              },
        ];
      }),
    );
  } finally {
    await runtime.release(handle, { signal });
  }
}

/** Types whose values Cast makes float32. */
const numeric: ReadonlySet<DType> = new Set([
  'float32',
  'float16',
  'bfloat16',
  'float64',
  'bool',
  ...(['8', '16', '32', '64'] as const).flatMap((bits) => [`int${bits}` as const, `uint${bits}` as const]),
]);

/** Feeds in the types of the inputs: ranges may be asked of the same network in another precision. */
function fitted({ inputs }: Graph, feed: RuntimeTensors): RuntimeTensors {
  const types = new Map(inputs.map(({ name, dtype }) => [name, dtype]));
  return Object.fromEntries(
    Object.entries(feed).map(([name, tensor]) => {
      const type = types.get(name);
      if (type === undefined || type === tensor.type || !isElementType(type)) return [name, tensor];
      const values = floatsFrom(tensor.type, tensor.data);
      const data = elementsOf(type, values.length, (i) => values[i] as number);
      return [name, { type, dims: tensor.dims, data }];
    }),
  );
}

/** Types of a network's values; where no shape rule tells them, what the model says itself. */
function typesOf(graph: Graph): (value: string) => DType {
  const stated = new Map([...graph.inputs, ...graph.outputs].map(({ name, dtype }) => [name, dtype]));
  try {
    const shapes = inferShapes(graph);
    return (value) => shapes.get(value)?.dtype ?? stated.get(value) ?? 'float32';
  } catch {
    return (value) => stated.get(value) ?? 'float32';
  }
}

/** Two numbers for each value leave the session, not the values. */
function withExtremes(
  graph: Graph,
  values: readonly string[],
  typeOf: (value: string) => DType,
): { readonly graph: Graph; readonly least: readonly string[]; readonly most: readonly string[] } {
  const fresh = freshNames(graph);
  const [least, most] = ['least', 'most'].map((end) => values.map((_, i) => fresh(`${end}.${i}`))) as [
    string[],
    string[],
  ];
  const made = (op: string, input: string, output: string, attributes: Node['attributes']): Node => ({
    name: output,
    op,
    domain: '',
    inputs: [input],
    outputs: [output],
    attributes,
  });
  const nodes = values.flatMap((value, i) => {
    const isFloat = typeOf(value) === 'float32';
    const real = isFloat ? value : fresh(`real.${i}`);
    return [
      ...(isFloat ? [] : [made('Cast', value, real, { to: 1 })]),
      made('ReduceMin', real, least[i] as string, { keepdims: 0 }),
      made('ReduceMax', real, most[i] as string, { keepdims: 0 }),
    ];
  });
  const outputs = [...least, ...most].map((name) => ({ name, dtype: 'float32' as const, dims: [] }));
  return { graph: { ...graph, nodes: [...graph.nodes, ...nodes], outputs }, least, most };
}
