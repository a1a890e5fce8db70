import { HildaError } from '../core/errors.js';
import { freshNames } from '../network/fresh-names.js';
import { type DType, elementCount, type Graph, int64Tensor, type Node } from '../network/graph.js';
import { inferShapes } from '../network/infer-shapes.js';
import { writeOnnx } from '../network/write-onnx.js';
import { elementsOf, floatsFrom, isElementType } from './element-types.js';
import { loadForValues } from './load-for-values.js';
import type { RuntimeTensors } from './messages.js';
import { toldByNode } from './refused-node.js';
import { Sample, withSamples } from './samples.js';
import type { SessionProcess } from './session-process.js';
import { timeFirst } from './time-first.js';

export interface ValueRangeOptions {
  readonly signal: AbortSignal;
  /**
   * How the extremes of the inputs are put together: the furthest of all (default), or their mean, which single outliers
   * move less where each input is a batch (Krishnamoorthi 2018, section 3.1.2).
   */
  readonly across?: 'furthest' | 'mean';
  /**
   * Values that are also wanted along an axis, each with the axis, be they among the others or not. Given, it also asks for
   * the histograms of all float values.
   */
  readonly channels?: ReadonlyMap<string, number> | undefined;
}

/** Smallest and largest element, of all and where asked of each channel, with its mean. */
export interface ValueRange {
  readonly min: number;
  readonly max: number;
  readonly channels?: {
    readonly axis: number;
    readonly min: readonly number[];
    readonly max: readonly number[];
    readonly mean: readonly number[];
  };
  /** How many elements of a sample lie in each of equal parts from `min` to `max`. */
  readonly histogram?: readonly number[];
}

/**
 * Smallest and largest element of each value of a network over the given inputs: what quantisation is calibrated with.
 * Values that the network does not compute, and those that are no numbers, are left out. Feeds take the types of the
 * network's inputs. Throws REQUEST_INVALID where there is no feed, and NETWORK_REJECTED.
 */
export async function valueRanges(
  network: Graph,
  values: readonly string[],
  feeds: Iterable<RuntimeTensors> | AsyncIterable<RuntimeTensors>,
  runtime: SessionProcess,
  { signal, across = 'furthest', channels: wanted }: ValueRangeOptions,
): Promise<ReadonlyMap<string, ValueRange>> {
  const graph = timeFirst(network);
  const channels = wanted ?? new Map<string, number>();
  const known = new Set([
    ...graph.inputs.map(({ name }) => name),
    ...graph.nodes.flatMap((node) => node.outputs),
  ]);
  const { typeOf, rankOf, countOf } = shapesOf(graph);
  const asked = [...new Set([...values, ...channels.keys()])].filter(
    (value) => known.has(value) && numeric.has(typeOf(value)),
  );
  // A session without an output is refused.
  if (asked.length === 0) return new Map();
  const shown = withExtremes(graph, asked, { typeOf, rankOf }, channels);
  const sampled = wanted && across === 'furthest' ? asked.filter((value) => typeOf(value) === 'float32') : [];
  const extremes = { ...shown, ...withSamples(shown.graph, sampled, countOf) };
  const { handle } = await loadForValues(writeOnnx(extremes.graph), runtime, { signal }).catch(
    async (error: unknown) => {
      throw await toldByNode(error, graph, runtime, { signal });
    },
  );
  try {
    const seen = asked.map(() => ({ min: [] as number[], max: [] as number[] }));
    const along = new Map(
      extremes.along.map(({ value }) => [value, new ChannelSeen(channels.get(value) ?? 0)]),
    );
    const samples = new Map(extremes.samples.map(({ value }) => [value, new Sample()]));
    for await (const feed of feeds) {
      const answer = await runtime.run(handle, fitted(graph, feed), {}, { signal });
      for (const [i, { min, max }] of seen.entries()) {
        min.push(Number(answer[extremes.least[i] as string]?.data[0]));
        max.push(Number(answer[extremes.most[i] as string]?.data[0]));
      }
      for (const { value, least, most, middle } of extremes.along)
        along.get(value)?.add(answer[least]?.data, answer[most]?.data, answer[middle]?.data);
      for (const { value, output } of extremes.samples)
        samples.get(value)?.add((answer[output]?.data ?? []) as ArrayLike<number>);
    }
    if (seen[0]?.min.length === 0)
      throw new HildaError('REQUEST_INVALID', 'there are no inputs to calibrate the network on');
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    return new Map(
      asked.map((name, i) => {
        const { min, max } = seen[i] as { min: number[]; max: number[] };
        if (across === 'mean') return [name, { min: mean(min), max: mean(max) }];
        const [least, most] = [
          min.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY),
          max.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY),
        ];
        const ends = along.get(name);
        const histogram = samples.get(name)?.histogram(least, most);
        const range: ValueRange = {
          min: least,
          max: most,
          ...(ends && { channels: ends.ranges() }),
          ...(histogram && { histogram }),
        };
        return [name, range];
      }),
    );
  } finally {
    await runtime.release(handle, { signal });
  }
}

type Elements = ArrayLike<number | bigint | string> | undefined;

/** The channels of a value over all feeds. */
class ChannelSeen {
  readonly #axis: number;
  readonly #feeds: { readonly min: Elements; readonly max: Elements; readonly mean: Elements }[] = [];

  constructor(axis: number) {
    this.#axis = axis;
  }

  add(min: Elements, max: Elements, mean: Elements): void {
    this.#feeds.push({ min, max, mean });
  }

  ranges(): NonNullable<ValueRange['channels']> {
    const over = (end: 'min' | 'max' | 'mean', choose: (a: number, b: number) => number): number[] =>
      Array.from(this.#feeds[0]?.[end] ?? [], (_, c) =>
        this.#feeds.map((feed) => Number(feed[end]?.[c])).reduce((a, b) => choose(a, b)),
      );
    const sum = over('mean', (a, b) => a + b);
    return {
      axis: this.#axis,
      min: over('min', Math.min),
      max: over('max', Math.max),
      mean: sum.map((x) => x / this.#feeds.length),
    };
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

interface ValueShapes {
  /** Where no shape rule tells it, what the model says itself. */
  typeOf(value: string): DType;
  /** Undefined where no shape rule tells it. */
  rankOf(value: string): number | undefined;
  /** The number of elements; undefined likewise. */
  countOf(value: string): number | undefined;
}

function shapesOf(graph: Graph): ValueShapes {
  const stated = new Map([...graph.inputs, ...graph.outputs].map(({ name, dtype }) => [name, dtype]));
  let shapes: ReturnType<typeof inferShapes> | undefined;
  try {
    shapes = inferShapes(graph);
  } catch {
    // The runtime may run what no shape rule covers.
  }
  return {
    typeOf: (value) => shapes?.get(value)?.dtype ?? stated.get(value) ?? 'float32',
    rankOf: (value) => shapes?.get(value)?.dims.length,
    countOf: (value) => {
      const dims = shapes?.get(value)?.dims;
      return dims && elementCount(dims);
    },
  };
}

/** Outputs with an element for each channel of a value. */
interface AlongNames {
  readonly value: string;
  readonly least: string;
  readonly most: string;
  readonly middle: string;
}

interface Extremes {
  readonly graph: Graph;
  readonly least: readonly string[];
  readonly most: readonly string[];
  readonly along: readonly AlongNames[];
}

/** Two numbers for each value leave the session, or for each of its channels, not the values. */
function withExtremes(
  graph: Graph,
  values: readonly string[],
  { typeOf, rankOf }: Pick<ValueShapes, 'typeOf' | 'rankOf'>,
  channels: ReadonlyMap<string, number>,
): Extremes {
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
  const along: AlongNames[] = [];
  const constants = new Map(graph.initializers);
  const nodes = values.flatMap((value, i) => {
    const isFloat = typeOf(value) === 'float32';
    const real = isFloat ? value : fresh(`real.${i}`);
    const reductions = [
      ...(isFloat ? [] : [made('Cast', value, real, { to: 1 })]),
      made('ReduceMin', real, least[i] as string, { keepdims: 0 }),
      made('ReduceMax', real, most[i] as string, { keepdims: 0 }),
    ];
    const [axis, rank] = [channels.get(value), rankOf(value)];
    if (axis === undefined || rank === undefined || rank < 2) return reductions;
    const names = {
      value,
      least: fresh(`least.along.${i}`),
      most: fresh(`most.along.${i}`),
      middle: fresh(`middle.along.${i}`),
    };
    along.push(names);
    const axes = Array.from({ length: rank }, (_, other) => other).filter((other) => other !== axis);
    const reduced = (op: string, output: string): Node => {
      // From operator set 18 on, the axes are an input.
      if (graph.opset < 18) return made(op, real, output, { keepdims: 0, axes });
      const name = fresh(`axes.${i}`);
      constants.set(name, int64Tensor(axes));
      return { ...made(op, real, output, { keepdims: 0 }), inputs: [real, name] };
    };
    return [
      ...reductions,
      reduced('ReduceMin', names.least),
      reduced('ReduceMax', names.most),
      reduced('ReduceMean', names.middle),
    ];
  });
  const ends = (names: readonly string[], dims: readonly (number | null)[]) =>
    names.map((name) => ({ name, dtype: 'float32' as const, dims }));
  const outputs = [
    ...ends([...least, ...most], []),
    ...ends(
      along.flatMap(({ least, most, middle }) => [least, most, middle]),
      [null],
    ),
  ];
  const extremes = { ...graph, nodes: [...graph.nodes, ...nodes], initializers: constants, outputs };
  return { graph: extremes, least, most, along };
}
