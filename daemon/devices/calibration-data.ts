import { HildaError } from '../core/errors.js';
import type { ArraySource, StoredArray } from '../data/contract.js';
import { convertElements, isNumericType, type NumericType } from '../data/elements.js';
import { examplesOf } from '../data/examples.js';
import { bytesInMemory } from '../data/file-bytes.js';
import { openNpy } from '../data/npy.js';
import { openZipEntry, readZipEntries } from '../data/zip.js';
import { elementCount, type ValueInfo } from '../network/graph.js';
import { elementsOf } from '../runtime/element-types.js';
import type { RuntimeTensor, RuntimeTensors } from '../runtime/messages.js';

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

/**
 * Pieces of a set, each a .npz with an array for every input, or for one input a .npy: the first axis counts the examples.
 * One piece is in memory at a time. Throws DATA_INVALID, REQUEST_INVALID.
 */
export async function piecedExamples(
  inputs: readonly InputShape[],
  pieces: readonly (() => Promise<Uint8Array>)[],
): Promise<CalibrationData> {
  let count = 0;
  for (const piece of pieces) count += (await openPiece(inputs, await piece())).count;
  return {
    count,
    async *feeds() {
      for (const piece of pieces) yield* (await openPiece(inputs, await piece())).feeds();
    },
  };
}

const isZip = (bytes: Uint8Array): boolean => bytes[0] === 0x50 && bytes[1] === 0x4b;

/** By its first bytes. */
export const isPiece = (bytes: Uint8Array): boolean =>
  isZip(bytes) || (bytes[0] === 0x93 && bytes[1] === 0x4e);

async function openPiece(inputs: readonly InputShape[], bytes: Uint8Array): Promise<CalibrationData> {
  const whole = bytesInMemory('the uploaded examples', bytes);
  const sources = new Map<string, ArraySource>();
  const add = (input: InputShape, array: StoredArray): void => {
    sources.set(input.name, examplesOf(array, closedDims(input)));
  };
  if (isZip(bytes)) {
    const entries = await readZipEntries(whole);
    for (const input of inputs) {
      const entry = entries.get(`${input.name}.npy`);
      if (entry) add(input, await openNpy(await openZipEntry(whole, entry)));
    }
  } else if (inputs.length === 1) add(inputs[0] as InputShape, await openNpy(whole));
  return combineSources(inputs, sources);
}
