import type { Tensor } from '../network/graph.js';
import { encodeElements, isNumericType, type NumericType } from './elements.js';
import { shown } from './examples.js';
import { invalid } from './invalid.js';
import { type OpenOptions, openArrays } from './open-arrays.js';

/**
 * One value for an input of `dims` and `dtype` from a file (see `openArrays`); .bin and .raw hold elements of `dtype`.
 * Throws NOT_FOUND, and DATA_INVALID where shape or values do not fit.
 */
export async function readTensor(
  path: string,
  dtype: string,
  dims: readonly number[],
  options: Omit<OpenOptions, 'dims' | 'as' | 'rawType'> = {},
): Promise<Tensor & { readonly dtype: NumericType }> {
  if (!isNumericType(dtype)) throw invalid(`${path}: no file gives values of type ${dtype}`);
  const source = await openArrays(path, { anyValue: true, ...options, dims, as: dtype, rawType: dtype });
  try {
    if (source.count !== 1)
      throw invalid(`${path} holds ${source.count} examples of ${shown(dims)}, the input takes one`);
    return { dtype, dims, data: encodeElements(await source.examples(0, 1), dtype) };
  } finally {
    await source.close();
  }
}
