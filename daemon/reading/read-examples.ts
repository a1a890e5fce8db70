import type { ArraySource } from '../data/contract.js';
import { convertElements, encodeElements, type NumericType } from '../data/elements.js';
import { examplesOf } from '../data/examples.js';
import { bytesInMemory } from '../data/file-bytes.js';
import { invalid } from '../data/invalid.js';
import { openNpy } from '../data/npy.js';
import { openZipEntry, readZipEntries } from '../data/zip.js';
import { bytesPerElement, elementCount, type Tensor } from '../network/graph.js';
import {
  type CalibrationData,
  closedDims,
  combineSources,
  exampleBytes,
  type InputShape,
} from '../runtime/calibration-data.js';

/** Of a piece, or of one array, unpacked and in the types of its inputs. */
const maxUnpackedBytes = 512 * 2 ** 20;

/** By its first bytes. */
const isZip = (bytes: Uint8Array): boolean => bytes[0] === 0x50 && bytes[1] === 0x4b;

/** Whether bytes begin as a .npz or a .npy does. */
export const isPiece = (bytes: Uint8Array): boolean =>
  isZip(bytes) || (bytes[0] === 0x93 && bytes[1] === 0x4e);

/**
 * A piece of a set of examples: a .npz with an array for every input, or for one input a .npy. The first axis counts the
 * examples. Throws DATA_INVALID, REQUEST_INVALID.
 */
export async function readExamples(
  bytes: Uint8Array,
  inputs: readonly InputShape[],
): Promise<CalibrationData> {
  const whole = bytesInMemory('the uploaded examples', bytes);
  const sources = new Map<string, ArraySource>();
  if (isZip(bytes)) {
    const entries = await readZipEntries(whole);
    const named = inputs.flatMap((input) => {
      const entry = entries.get(`${input.name}.npy`);
      return entry ? [{ input, entry }] : [];
    });
    // Before anything is unpacked.
    assertSize(named.reduce((sum, { entry }) => sum + entry.bytes, 0));
    for (const { input, entry } of named)
      sources.set(input.name, examplesOf(await openNpy(await openZipEntry(whole, entry)), closedDims(input)));
  } else if (inputs.length === 1) {
    const [input] = inputs as readonly [InputShape];
    sources.set(input.name, examplesOf(await openNpy(whole), closedDims(input)));
  }
  const examples = combineSources(inputs, sources);
  assertSize(inputs.reduce((sum, input) => sum + examples.count * exampleBytes(input), 0));
  return examples;
}

/** The array of a .npy file in a type, with the file's dims. Throws DATA_INVALID, also for elements that the type lacks. */
export async function readTensor(bytes: Uint8Array, dtype: NumericType, name: string): Promise<Tensor> {
  const array = await openNpy(bytesInMemory(name, bytes));
  const count = elementCount(array.dims);
  assertSize(count * bytesPerElement[dtype]);
  const elements = convertElements(await array.elements(0, count), array.dtype, dtype, array.name);
  return { dtype, dims: array.dims, data: encodeElements(elements, dtype) };
}

function assertSize(bytes: number): void {
  if (bytes <= maxUnpackedBytes) return;
  throw invalid(`the upload unpacks to ${bytes} bytes, more than the limit of ${maxUnpackedBytes}`, {
    hint: 'Upload several smaller pieces.',
  });
}
