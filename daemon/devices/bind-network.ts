import { HildaError } from '../core/errors.js';
import type { ByteSource } from '../data/contract.js';
import {
  convertElements,
  type Elements,
  encodeElements,
  isNumericType,
  type NumericType,
} from '../data/elements.js';
import { openNpy } from '../data/npy.js';
import { rawArray } from '../data/raw.js';
import { bindInputs } from '../network/bind-inputs.js';
import { elementCount, type Feed, type Graph, type Tensor, type ValueInfo } from '../network/graph.js';
import { checkNetworkLimits } from '../network/limits.js';

/** What a person says an input holds: one value for every element, a range to draw from, or elements. */
export type GivenInput =
  | number
  | boolean
  | string
  | { readonly low: number; readonly high: number }
  | { readonly values: readonly number[] }
  /** In the type of the input. */
  | { readonly tensor: Tensor }
  | { readonly file: ByteSource; readonly format: 'npy' | 'raw' };

export interface GivenBindings {
  readonly dims?: Readonly<Record<string, number>> | undefined;
  readonly shapes?: Readonly<Record<string, readonly number[]>> | undefined;
  readonly inputs?: ReadonlyMap<string, GivenInput>;
}

/**
 * A user's network with its dimensions fixed and its inputs filled, checked against the limits. Closes the files that it is
 * given. Throws REQUEST_INVALID, DATA_INVALID, NETWORK_TOO_LARGE, and SHAPE_UNKNOWN for what stays open.
 */
export async function bindNetwork(
  graph: Graph,
  { dims = {}, shapes = {}, inputs = new Map() }: GivenBindings,
): Promise<Graph> {
  const known = new Map([...(graph.overridable ?? []), ...graph.inputs].map((input) => [input.name, input]));
  const early = new Map<string, Feed>();
  const late: [ValueInfo, GivenInput][] = [];
  for (const [name, given] of inputs) {
    const input = known.get(name);
    if (typeof given === 'object' && 'file' in given && given.format === 'npy')
      early.set(name, await npyTensor(given.file, input));
    else if (typeof given === 'object' && 'tensor' in given) early.set(name, given.tensor);
    else if (typeof given === 'object' && 'low' in given) early.set(name, given);
    else if (input) late.push([input, given]);
    // Binding refuses it by its name.
    else early.set(name, { low: 0, high: 0 });
  }
  let bound = bindInputs(graph, { dims, shapes, feeds: early });
  if (late.length > 0) {
    const sizes = new Map([
      ...[...bound.initializers].map(([name, { dims }]) => [name, dims] as const),
      ...bound.inputs.map(({ name, dims }) => [name, dims] as const),
    ]);
    const feeds = new Map(early);
    for (const [input, given] of late)
      feeds.set(input.name, await tensorOf(input, given, (sizes.get(input.name) ?? []).map(Number)));
    bound = bindInputs(bound, { feeds });
  }
  checkNetworkLimits(bound);
  return bound;
}

async function npyTensor(file: ByteSource, input: ValueInfo | undefined): Promise<Tensor> {
  const array = await openNpy(file);
  try {
    const count = elementCount(array.dims);
    const elements = await array.elements(0, count);
    // Of an input that the network lacks: refused by its name later.
    return input
      ? numbers(input, elements, array.dtype, array.dims, array.name)
      : { dtype: 'uint8', dims: array.dims, data: new Uint8Array(count) };
  } finally {
    await array.close();
  }
}

async function tensorOf(input: ValueInfo, given: GivenInput, dims: readonly number[]): Promise<Tensor> {
  const { name, dtype } = input;
  const count = elementCount(dims);
  if (typeof given === 'object' && 'file' in given) {
    const array = rawArray(given.file, numericType(input), dims);
    try {
      return numbers(input, await array.elements(0, count), array.dtype, dims, array.name);
    } finally {
      await array.close();
    }
  }
  if (typeof given === 'object' && 'values' in given) {
    if (given.values.length === count)
      return numbers(input, Float64Array.from(given.values), 'float64', dims, `the input ${name}`);
    throw new HildaError(
      'REQUEST_INVALID',
      `the input ${name} takes ${count} values (${dims.join(' x ') || 'a scalar'}), ${given.values.length} were given`,
    );
  }
  if (dtype === 'string') {
    const text = new TextEncoder().encode(String(given));
    return { dtype, dims, data: new Uint8Array(), strings: Array.from({ length: count }, () => text) };
  }
  if (typeof given === 'string')
    throw new HildaError('REQUEST_INVALID', `the input ${name} takes ${dtype}, text was given`);
  return numbers(input, new Float64Array(count).fill(Number(given)), 'float64', dims, `the input ${name}`);
}

function numbers(
  input: ValueInfo,
  elements: Elements,
  from: NumericType,
  dims: readonly number[],
  what: string,
): Tensor {
  const to = numericType(input);
  return { dtype: to, dims, data: encodeElements(convertElements(elements, from, to, what), to) };
}

function numericType({ name, dtype }: ValueInfo): NumericType {
  if (isNumericType(dtype)) return dtype;
  throw new HildaError(
    'REQUEST_INVALID',
    `the input ${name} has the type ${dtype}: no numbers can be given`,
    {
      hint: 'Text is given as text:WORD.',
    },
  );
}

/**
 * The network with the inputs that its user gave elements for as constants: on a board they are no inputs then. Ranges to
 * draw from are left for the calibration. Throws REQUEST_INVALID where no input would be left.
 */
export function constantInputs(graph: Graph): Graph {
  const all = [...(graph.feeds ?? [])];
  const given = new Map(all.flatMap(([name, feed]) => ('data' in feed ? [[name, feed] as const] : [])));
  if (given.size === 0) return graph;
  const inputs = graph.inputs.filter(({ name }) => !given.has(name));
  if (inputs.length === 0)
    throw new HildaError('REQUEST_INVALID', 'every input was given elements, so that none is left to feed', {
      hint: 'On a board such an input is a constant. Give a range, or calibration inputs.',
    });
  const feeds = new Map(all.filter(([name]) => !given.has(name)));
  return { ...graph, inputs, feeds, initializers: new Map([...graph.initializers, ...given]) };
}
