import { elementsFromBytes } from '../core/element-arrays.js';
import { HildaError } from '../core/errors.js';
import type { ArraySource } from '../data/contract.js';
import { convertElements, isNumericType, type NumericType } from '../data/elements.js';
import { bytesPerElement, elementCount, type ValueInfo } from '../network/graph.js';
import { elementsOf } from './element-types.js';
import type { ElementData, RuntimeTensor, RuntimeTensors } from './messages.js';

/** Inputs that a network will see, one inference after the other. Read anew in each pass: a large set never lies in memory at once. */
export interface CalibrationData {
  readonly count: number;
  feeds(): AsyncIterable<RuntimeTensors>;
}

/** An input as its examples must fit it: closed. */
export type InputShape = Pick<ValueInfo, 'name' | 'dtype' | 'dims'>;

export const closedDims = ({ dims }: InputShape): number[] =>
  dims.map((dim) => (typeof dim === 'number' ? dim : 1));

/** The type that an input's examples are given in. Throws REQUEST_INVALID for one that no numbers fill. */
export function exampleType({ name, dtype }: InputShape): NumericType {
  if (isNumericType(dtype)) return dtype;
  throw new HildaError(
    'REQUEST_INVALID',
    `the input ${name} has the type ${dtype}: no examples can be given`,
  );
}

/** One source an input, all of one length. Throws REQUEST_INVALID where one is missing or shorter. */
export function combineSources(
  inputs: readonly InputShape[],
  sources: ReadonlyMap<string, ArraySource>,
): CalibrationData {
  const counts = inputs.map((input) => {
    const source = sources.get(input.name);
    if (source) return { input, source };
    throw new HildaError('REQUEST_INVALID', `there are no examples for the input ${input.name}`, {
      hint: `Give them as ${input.name}=FILE, or one .npz with an array for each input.`,
    });
  });
  const [first] = counts;
  for (const { input, source } of counts)
    if (source.count !== first?.source.count)
      throw new HildaError(
        'REQUEST_INVALID',
        `there are ${first?.source.count} examples for ${first?.input.name}, ${source.count} for ${input.name}`,
      );
  return {
    count: first?.source.count ?? 0,
    async *feeds() {
      for (let i = 0; i < (first?.source.count ?? 0); i++) {
        const feed: [string, RuntimeTensor][] = [];
        for (const { input, source } of counts) feed.push([input.name, await tensorAt(source, i, input)]);
        yield Object.fromEntries(feed);
      }
    },
  };
}

async function tensorAt(source: ArraySource, i: number, input: InputShape): Promise<RuntimeTensor> {
  const type = exampleType(input);
  const elements = convertElements(await source.examples(i, i + 1), source.dtype, type, source.name);
  // Half precision comes widened.
  const data =
    type === 'float16' ? elementsOf(type, elements.length, (at) => Number(elements[at])) : elements;
  return { type, dims: closedDims(input), data };
}

/** Examples that hold the values of all inputs, one behind the other. Throws REQUEST_INVALID for another number of values. */
export function flatExamples(
  inputs: readonly InputShape[],
  examples: readonly ArrayLike<number>[],
): CalibrationData {
  const sizes = inputs.map((input) => elementCount(closedDims(input)));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  for (const { length } of examples)
    if (length !== total)
      throw new HildaError('REQUEST_INVALID', `an example has ${length} values, the network takes ${total}`, {
        hint:
          inputs.length > 1
            ? `It takes ${inputs.map(({ name }, i) => `${sizes[i]} for ${name}`).join(', ')}.`
            : '',
      });
  return {
    count: examples.length,
    async *feeds() {
      for (const values of examples) {
        let at = 0;
        yield Object.fromEntries(
          inputs.map((input, i): [string, RuntimeTensor] => {
            const start = at;
            at += sizes[i] as number;
            const type = exampleType(input);
            const data = elementsOf(type, sizes[i] as number, (k) => values[start + k] as number);
            return [input.name, { type, dims: closedDims(input), data }];
          }),
        );
      }
    },
  };
}

/** Pieces of a set, one behind the other. Each is opened when it is read, anew in each pass: one is in memory at a time. */
export async function inPieces(
  pieces: readonly (() => Promise<CalibrationData>)[],
): Promise<CalibrationData> {
  let count = 0;
  for (const open of pieces) count += (await open()).count;
  return {
    count,
    async *feeds() {
      for (const open of pieces) yield* (await open()).feeds();
    },
  };
}

/** Examples whose elements lie in memory: of each input, one example behind the other. */
export function examplesInMemory(
  inputs: readonly InputShape[],
  count: number,
  elements: readonly Uint8Array[],
): CalibrationData {
  return {
    count,
    async *feeds() {
      for (let i = 0; i < count; i++)
        yield Object.fromEntries(
          inputs.map((input, k): [string, RuntimeTensor] => {
            const type = exampleType(input);
            const size = exampleBytes(input);
            const bytes = (elements[k] as Uint8Array).subarray(i * size, (i + 1) * size);
            return [
              input.name,
              { type, dims: closedDims(input), data: elementsFromBytes(type, bytes) as ElementData },
            ];
          }),
        );
    },
  };
}

/** The elements of all examples, as `examplesInMemory` takes them. */
export async function gatherElements(
  inputs: readonly InputShape[],
  { count, feeds }: CalibrationData,
): Promise<Uint8Array[]> {
  const gathered = inputs.map((input) => new Uint8Array(count * exampleBytes(input)));
  let i = 0;
  for await (const feed of feeds()) {
    for (const [k, input] of inputs.entries()) {
      const { data } = feed[input.name] as { readonly data: Uint8Array };
      const { buffer, byteOffset, byteLength } = data;
      gathered[k]?.set(new Uint8Array(buffer, byteOffset, byteLength), i * exampleBytes(input));
    }
    i++;
  }
  return gathered;
}

/** Of one example of an input, as the runtime takes it. */
export const exampleBytes = (input: InputShape): number =>
  bytesPerElement[exampleType(input)] * elementCount(closedDims(input));
