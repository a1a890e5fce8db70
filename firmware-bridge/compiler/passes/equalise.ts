import { freshNames } from '../../../daemon/network/fresh-names.js';
import { floatsOf, floatTensor, type Node, type Tensor } from '../../../daemon/network/graph.js';
import type { Range } from '../quantise/quantisation.js';
import type { ChannelGroup, ChannelGroups, ScaledLayer } from './channel-groups.js';
import type { Prepared } from './prepare.js';

/** How much of the channels' difference is taken away: the share is chosen by the error that it leaves. */
const shares = [0, 0.25, 0.5, 0.75, 1];
/** A channel that calibration saw at less than this part of the value's range is taken to reach it. */
const smallestPart = 1 / 32;

type Ranges = ReadonlyMap<string, Range>;

export interface Equalised {
  readonly prepared: Prepared;
  readonly ranges: Ranges;
  /** What a value's channels were divided by, along which axis; undefined for a value that is as it was. */
  factorsOf(value: string): ChannelFactors | undefined;
}

export interface ChannelFactors {
  readonly axis: number;
  readonly factors: Float64Array;
}

/**
 * Scales channels so that all of them use the steps of a value's one scale: what a layer's outputs are divided by, the
 * layers that read them multiply by (Nagel et al., ICCV 2019, section 4.1, with activations' ranges as they were seen).
 * Only values that come with the ranges of their channels change.
 */
export function equalised(
  prepared: Prepared,
  ranges: Ranges,
  groups: ChannelGroups,
  asked: readonly string[],
): Equalised {
  const isAsked = new Set(asked);
  const factors = new Map<ChannelGroup, Float64Array>();
  for (const group of groups.groups) {
    const chosen = factorsOf(group, groups, prepared, ranges, isAsked);
    if (chosen) factors.set(group, chosen);
  }
  if (factors.size === 0) return { prepared, ranges, factorsOf: () => undefined };
  const factorOf = (value: string | undefined): Float64Array | undefined => {
    const group = value === undefined ? undefined : groups.of(value);
    return group && factors.get(group);
  };
  return {
    prepared: { ...prepared, graph: rescaled(prepared, groups.layers, factorOf) },
    ranges: rescaledRanges(prepared, ranges, factorOf),
    factorsOf: (value) => {
      const [group, divisors] = [groups.of(value), factorOf(value)];
      return group && divisors && { axis: group.axis, factors: divisors };
    },
  };
}

/**
 * The values that are looked at channel by channel, each with its axis of channels: those whose channels may be scaled, and
 * those that layers read.
 */
export function channelValues(
  prepared: Prepared,
  groups: ChannelGroups,
  isFixed: (value: string) => boolean,
  asked: readonly string[],
): ReadonlyMap<string, number> {
  return new Map([
    ...channelsRead(prepared, isFixed),
    ...asked.flatMap((value): [string, number][] => {
      const group = groups.of(value);
      return group ? [[value, group.axis]] : [];
    }),
  ]);
}

/** The values that layers with weights of their own read, each with its axis of channels. */
export const channelsRead = (
  { graph, shapes, made }: Prepared,
  isFixed: (value: string) => boolean,
): ReadonlyMap<string, number> =>
  new Map(
    graph.nodes.flatMap((node): [string, number][] => {
      const [value = ''] = node.inputs;
      const axis = readAxis(node, shapes.get(value)?.dims.length ?? 0);
      const isKnown = made.has(value) || graph.initializers.has(value);
      return axis === undefined || isKnown || isFixed(value) ? [] : [[value, axis]];
    }),
  );

/** Along which axis a layer's constant weights read its input; undefined for what is no such layer. */
function readAxis({ op, attributes }: Node, rank: number): number | undefined {
  if (op === 'Conv') return 1;
  if (op === 'Linear') return rank - 1;
  return op === 'ChannelAffine' ? Number(attributes.axis) : undefined;
}

/** What a group's channels are divided by, 1 for the largest; undefined where they are best left alone. */
function factorsOf(
  group: ChannelGroup,
  { layers, of }: ChannelGroups,
  { graph }: Prepared,
  ranges: Ranges,
  isAsked: ReadonlySet<string>,
): Float64Array | undefined {
  const parts = new Float64Array(group.channels);
  for (const value of group.values.filter((one) => isAsked.has(one))) {
    const reach = reachOf(ranges.get(value), group.channels);
    if (!reach) return undefined;
    const whole = reach.reduce((a, b) => Math.max(a, b), 0);
    if (whole > 0)
      for (let c = 0; c < parts.length; c++)
        parts[c] = Math.max(parts[c] as number, (reach[c] as number) / whole);
  }
  const readers = layers.filter(({ node }) => of(node.inputs[0] as string) === group);
  const makers = layers.filter(({ node }) => of(node.outputs[0] as string) === group);
  if (readers.length === 0 || makers.length === 0) return undefined;
  const bounded = parts.map((part) => Math.max(smallestPart, part));
  const [best] = shares
    .map((share) => {
      const factors = bounded.map((part) => part ** share);
      const error = readers.reduce(
        (sum, layer) => sum + readingError(layer, graph.initializers, bounded, factors),
        0,
      );
      return { share, factors, error };
    })
    .sort((a, b) => a.error - b.error || a.share - b.share);
  return best && best.share > 0 ? best.factors : undefined;
}

function reachOf(range: Range | undefined, channels: number): Float64Array | undefined {
  const { min, max } = range?.channels ?? {};
  if (min?.length !== channels || max?.length !== channels) return undefined;
  const reach = Float64Array.from(min, (low, c) => Math.max(Math.abs(low), Math.abs(max[c] as number)));
  return reach.every(Number.isFinite) ? reach : undefined;
}

/**
 * The error of a layer's results, as a share of their size, for what it reads in 8 bits: of the values, whose step is as
 * large as the largest channel asks, and of the weights, whose step is an output's own.
 */
function readingError(
  layer: ScaledLayer,
  constants: ReadonlyMap<string, Tensor>,
  parts: Float64Array,
  factors: Float64Array,
): number {
  const { weights, inputs, outputs, isPaired, at } = weightsOf(layer, constants);
  let step = 0;
  for (let c = 0; c < inputs; c++) step = Math.max(step, (parts[c] as number) / (factors[c] as number));
  let [error, size] = [0, 0];
  for (let n = 0; n < outputs; n++) {
    let [largest, seen] = [0, 0];
    for (let c = isPaired ? n : 0; c < (isPaired ? n + 1 : inputs); c++) {
      const [part, factor] = [parts[c] as number, factors[c] as number];
      for (const i of at(n, c)) {
        const w = (weights[i] as number) * factor;
        largest = Math.max(largest, Math.abs(w));
        error += (w * step) ** 2;
        size += ((weights[i] as number) * part) ** 2;
        seen += (part / factor) ** 2;
      }
    }
    // Values are seldom as large as their range: a third of it, as a share of what the step allows.
    error += (largest ** 2 * seen) / 9;
  }
  return size > 0 ? error / size : 0;
}

interface Weights {
  readonly weights: Float32Array;
  readonly inputs: number;
  readonly outputs: number;
  /** Each output reads the input of its own number alone. */
  readonly isPaired: boolean;
  /** Where the taps from an input to an output stand. */
  readonly at: (output: number, input: number) => Iterable<number>;
}

function weightsOf({ node, kind }: ScaledLayer, constants: ReadonlyMap<string, Tensor>): Weights {
  const { dims, ...tensor } = constants.get(node.inputs[1] as string) as Tensor;
  const weights = floatsOf({ dims, ...tensor });
  const [first = 1, second = 1] = dims;
  function* taps(from: number, count: number): Iterable<number> {
    for (let i = 0; i < count; i++) yield from + i;
  }
  const area = weights.length / (first * second);
  const mixed = { weights, isPaired: false };
  switch (kind) {
    case 'conv':
      return { ...mixed, inputs: second, outputs: first, at: (n, c) => taps((n * second + c) * area, area) };
    case 'transposed':
      return { ...mixed, inputs: first, outputs: second, at: (n, c) => taps((c * second + n) * area, area) };
    case 'linear':
      return { ...mixed, inputs: first, outputs: second, at: (n, c) => taps(c * second + n, 1) };
    case 'depthwise':
    case 'affine':
    case 'norm':
      return {
        weights,
        inputs: first,
        outputs: first,
        isPaired: true,
        at: (n) => taps((n * weights.length) / first, weights.length / first),
      };
  }
}

function rescaled(
  { graph }: Prepared,
  layers: readonly ScaledLayer[],
  factorOf: (value: string | undefined) => Float64Array | undefined,
): Prepared['graph'] {
  const fresh = freshNames(graph);
  const initializers = new Map(graph.initializers);
  const replaced = new Map<Node, Node>();
  for (const layer of layers) {
    const { node, kind } = layer;
    // A normalisation takes its rows as they are, divided by any factor.
    const [x, y] = [kind === 'norm' ? undefined : factorOf(node.inputs[0]), factorOf(node.outputs[0])];
    if (!x && !y) continue;
    const { weights, inputs, outputs, isPaired, at } = weightsOf(layer, graph.initializers);
    const scaled = new Float32Array(weights);
    for (let n = 0; n < outputs; n++)
      for (let c = isPaired ? n : 0; c < (isPaired ? n + 1 : inputs); c++)
        for (const i of at(n, c)) scaled[i] = ((weights[i] as number) * (x?.[c] ?? 1)) / (y?.[n] ?? 1);
    const add = (name: string, values: Float32Array): string => {
      const { dims } = graph.initializers.get(name) as Tensor;
      const made = fresh(`${name}.equalised`);
      initializers.set(made, floatTensor(dims, values));
      return made;
    };
    const names = [node.inputs[0] as string, add(node.inputs[1] as string, scaled)];
    const bias = node.inputs[2];
    if (bias) {
      const values = floatsOf(graph.initializers.get(bias) as Tensor);
      names.push(
        y
          ? add(
              bias,
              values.map((value, n) => value / (y[n] as number)),
            )
          : bias,
      );
    }
    replaced.set(node, { ...node, inputs: names });
  }
  return { ...graph, initializers, nodes: graph.nodes.map((node) => replaced.get(node) ?? node) };
}

function rescaledRanges(
  { made }: Prepared,
  ranges: Ranges,
  factorOf: (value: string) => Float64Array | undefined,
): Ranges {
  const rescaled = new Map(ranges);
  // What a pass made has its range by the network's own values, which keep theirs for this.
  const rangeOf = (value: string): Range | undefined =>
    ranges.get(value) ?? made.get(value)?.range?.(rangeOf);
  for (const name of made.keys()) {
    const range = rangeOf(name);
    if (range) rescaled.set(name, range);
  }
  for (const [name, range] of ranges) {
    const factors = factorOf(name);
    if (!factors || !range.channels) continue;
    const { axis } = range.channels;
    const [min, max, mean] = [range.channels.min, range.channels.max, range.channels.mean].map((ends) =>
      ends.map((end, c) => end / (factors[c] as number)),
    ) as [number[], number[], number[]];
    const ends = { min: Math.min(...min), max: Math.max(...max) };
    rescaled.set(name, { ...ends, channels: { axis, min, max, mean } });
  }
  return rescaled;
}
