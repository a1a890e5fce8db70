import type onnxProto from 'onnx-proto';
import { HildaError } from '../core/errors.js';
import { byteCount, bytesPerElement, type DType, dtypeByNumber, elementCount, type Tensor } from './graph.js';
import { invalid, type Long, whole } from './onnx-numbers.js';

type TensorProto = onnxProto.onnx.ITensorProto;

/** Gives the contents of a file beside the model by its relative path; undefined where there is none. */
export type ExternalFiles = (location: string) => Uint8Array | undefined;

/** The most bytes that a sparse constant may fill once it is dense. */
const maxDenseBytes = 2 ** 30;

/** Throws ONNX_INVALID for an element type that ONNX does not define. An absent type reads as float32. */
export function readDtype(number: number | null | undefined, name: string): DType {
  // An output without a type is legal; its type follows from the nodes.
  if (!number) return 'float32';
  const dtype = dtypeByNumber.get(number);
  if (!dtype) throw invalid(`${name} has the element type ${number}, which is not known`);
  return dtype;
}

/** A constant with its elements, wherever the file keeps them. Throws ONNX_INVALID, EXTERNAL_DATA_MISSING. */
export function readTensor(proto: TensorProto, external?: ExternalFiles): Tensor {
  const name = proto.name || '?';
  const dtype = readDtype(proto.dataType, name);
  const dims = (proto.dims ?? []).map(whole);
  if (dims.some((dim) => dim < 0)) throw invalid(`the constant ${name} has a negative size`);
  if (!Number.isSafeInteger(elementCount(dims)))
    throw invalid(`the constant ${name} has more elements than can be counted: [${dims}]`);
  if (dtype === 'string') {
    const strings = proto.stringData ?? [];
    if (strings.length !== elementCount(dims))
      throw invalid(`the constant ${name} holds ${strings.length} strings for the shape [${dims}]`);
    return { dtype, dims, data: new Uint8Array(), strings };
  }
  const expected = byteCount(dtype, dims);
  const data = bytesOf(proto, dtype, expected, external);
  if (data.byteLength !== expected) {
    throw invalid(
      `the constant ${name} holds ${data.byteLength} bytes, its shape [${dims}] of ${dtype} needs ${expected}`,
    );
  }
  return { dtype, dims, data };
}

function bytesOf(proto: TensorProto, dtype: DType, expected: number, external?: ExternalFiles): Uint8Array {
  if (proto.dataLocation || proto.externalData?.length) return externalBytes(proto, expected, external);
  return proto.rawData?.length ? new Uint8Array(proto.rawData) : typedData(proto, dtype);
}

/** TensorProto.external_data: keys `location`, `offset`, `length` (onnx.proto3, "External data"). */
function externalBytes(proto: TensorProto, expected: number, external?: ExternalFiles): Uint8Array {
  const name = proto.name || '?';
  const fields = new Map((proto.externalData ?? []).map(({ key, value }) => [key ?? '', value ?? '']));
  const location = fields.get('location') ?? '';
  if (!isConfined(location))
    throw invalid(
      `the constant ${name} names a file outside the model's folder: ${JSON.stringify(location)}`,
    );
  const number = (key: string, fallback: number): number => {
    const text = fields.get(key);
    if (text === undefined || text === '') return fallback;
    if (!/^\d{1,15}$/.test(text))
      throw invalid(`the constant ${name} has the ${key} ${JSON.stringify(text)}`);
    return Number(text);
  };
  const [offset, length] = [number('offset', 0), number('length', expected)];
  const file = external?.(location);
  if (!file)
    throw new HildaError(
      'EXTERNAL_DATA_MISSING',
      `the constant ${name} lies in the file ${location}, which did not come with the model`,
      { details: { constant: name, location } },
    );
  if (offset + length > file.byteLength)
    throw invalid(
      `the constant ${name} ends at byte ${offset + length} of ${location}, which has ${file.byteLength}`,
    );
  // A copy: a slice of a Buffer would share the file's memory.
  return new Uint8Array(file.subarray(offset, offset + length));
}

/** Whether a path stays inside the folder it is relative to, on any system. */
export const isConfined = (location: string): boolean =>
  location !== '' &&
  !/^[/\\]|^[a-zA-Z]:|\0/.test(location) &&
  location.split(/[/\\]/).every((part) => part !== '..');

/** A sparse constant (SparseTensorProto, COO) as the dense one that runtimes make of it. */
export function readSparseTensor(
  proto: onnxProto.onnx.ISparseTensorProto,
  external?: ExternalFiles,
): { readonly name: string; readonly tensor: Tensor } {
  const name = proto.values?.name ?? '';
  if (!proto.values || !proto.indices) throw invalid(`the sparse constant ${name || '?'} is incomplete`);
  const values = readTensor(proto.values, external);
  const indices = readTensor(proto.indices, external);
  const dims = (proto.dims ?? []).map(whole);
  const [size, count] = [bytesPerElement[values.dtype], elementCount(values.dims)];
  const isDense = size >= 1 && values.dtype !== 'string' && indices.dtype === 'int64';
  const elements = elementCount(dims);
  if (!isDense || dims.some((dim) => dim < 0) || !(elements * size <= maxDenseBytes))
    throw invalid(`the sparse constant ${name || '?'} of shape [${dims}] cannot be made dense`);
  const at = new BigInt64Array(new Uint8Array(indices.data).buffer);
  const linear = indices.dims.length <= 1;
  if (at.length !== count * (linear ? 1 : dims.length))
    throw invalid(`the sparse constant ${name || '?'} has ${at.length} indices for ${count} values`);
  const data = new Uint8Array(elements * size);
  for (let i = 0; i < count; i++) {
    const index = linear
      ? Number(at[i])
      : dims.reduce((sum, dim, axis) => sum * dim + Number(at[i * dims.length + axis]), 0);
    if (!(index >= 0 && index < elements))
      throw invalid(`the sparse constant ${name} has the index ${index}`);
    data.set(values.data.subarray(i * size, (i + 1) * size), index * size);
  }
  return { name, tensor: { dtype: values.dtype, dims, data } };
}

const big = (value: Long): bigint => BigInt(String(value ?? 0));

/** The typed fields of TensorProto: small types travel widened in int32_data (onnx.proto3, TensorProto). */
function typedData(proto: TensorProto, dtype: DType): Uint8Array {
  const ints = proto.int32Data ?? [];
  const bytes = (array: { buffer: ArrayBufferLike }): Uint8Array => new Uint8Array(array.buffer);
  switch (dtype) {
    case 'float32':
    case 'complex64':
      return bytes(Float32Array.from(proto.floatData ?? []));
    case 'float64':
    case 'complex128':
      return bytes(Float64Array.from(proto.doubleData ?? []));
    case 'int64':
      return bytes(BigInt64Array.from((proto.int64Data ?? []).map(big)));
    case 'uint64':
      return bytes(BigUint64Array.from((proto.uint64Data ?? []).map(big)));
    case 'uint32':
      return bytes(Uint32Array.from((proto.uint64Data ?? []).map(whole)));
    case 'int32':
      return bytes(Int32Array.from(ints));
    case 'int16':
      return bytes(Int16Array.from(ints));
    case 'uint16':
    case 'float16':
    case 'bfloat16':
      return bytes(Uint16Array.from(ints));
    case 'int8':
      return bytes(Int8Array.from(ints));
    default:
      return bytes(Uint8Array.from(ints));
  }
}
