import type { NetworkView } from '../api/measurement-schemas.js';
import { convertElements, encodeElements, isNumericType } from '../data/elements.js';
import { bytesInMemory } from '../data/file-bytes.js';
import { openStored } from '../data/open-arrays.js';
import { npyBytes } from '../data/write-npy.js';
import type { GivenBindings, GivenInput } from '../devices/bind-network.js';
import type { BindingsRequest, InputRequest } from '../jobs/input-schemas.js';
import { elementCount, type Graph } from '../network/graph.js';
import type { CliContext } from './context.js';
import type { InputOptions, InputSource } from './input-options.js';

/** The options as the daemon takes them, for a model that it has; files are uploaded. */
export async function bindingsRequest(
  { dim, shape, input }: InputOptions,
  network: Pick<NetworkView, 'inputs'>,
  context: CliContext,
): Promise<BindingsRequest> {
  const inputs: [string, InputRequest][] = [];
  for (const [name, source] of input) inputs.push([name, await asked(name, source)]);
  return {
    ...(dim.size > 0 && { dims: Object.fromEntries(dim) }),
    ...(shape.size > 0 && {
      shapes: Object.fromEntries([...shape].map(([name, dims]) => [name, [...dims]])),
    }),
    ...(inputs.length > 0 && { inputs: Object.fromEntries(inputs) }),
  };

  async function asked(name: string, source: InputSource): Promise<InputRequest> {
    if ('value' in source) return source.value;
    if ('range' in source) return { range: [...source.range] };
    const { bytes, format } = await fileInput(source.path, typeOf(network.inputs, name));
    return { blob: (await context.client.uploadBlob(bytes, context)).sha256, format };
  }
}

/** The options for a network in this process. */
export async function givenBindings(
  { dim, shape, input }: InputOptions,
  { inputs, overridable = [] }: Graph,
): Promise<GivenBindings> {
  const given = new Map<string, GivenInput>();
  for (const [name, source] of input) {
    if ('value' in source) given.set(name, source.value);
    else if ('range' in source) given.set(name, { low: source.range[0], high: source.range[1] });
    else {
      const { bytes, format } = await fileInput(source.path, typeOf([...overridable, ...inputs], name));
      given.set(name, { file: bytesInMemory(source.path, bytes), format });
    }
  }
  return { dims: Object.fromEntries(dim), shapes: Object.fromEntries(shape), inputs: given };
}

const typeOf = (
  inputs: readonly { readonly name: string; readonly dtype: string }[],
  name: string,
): string | undefined => inputs.find((input) => input.name === name)?.dtype;

/** One array of a file: with its shape where it has one, else the elements alone. Throws NOT_FOUND, DATA_INVALID. */
async function fileInput(
  path: string,
  dtype: string | undefined,
): Promise<{ readonly bytes: Uint8Array; readonly format: 'npy' | 'raw' }> {
  const type = dtype !== undefined && isNumericType(dtype) ? dtype : 'float32';
  const array = await openStored(path, { rawType: type });
  try {
    const elements = await array.elements(0, elementCount(array.dims));
    return array.shapeless
      ? { bytes: encodeElements(convertElements(elements, array.dtype, type, path), type), format: 'raw' }
      : { bytes: npyBytes(elements, array.dtype, array.dims), format: 'npy' };
  } finally {
    await array.close();
  }
}
