/**
 * The in-memory form of an ONNX model: the decoded protobuf with the parts that hilda reads, and nothing of our own
 * added. Read with `readOnnx`, write with `writeOnnx`, build with `GraphBuilder`.
 */
export type DType =
  | 'float32'
  | 'float16'
  | 'float64'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'bool';

export const bytesPerElement: Readonly<Record<DType, number>> = {
  float32: 4,
  float16: 2,
  float64: 8,
  int8: 1,
  uint8: 1,
  int16: 2,
  uint16: 2,
  int32: 4,
  uint32: 4,
  int64: 8,
  uint64: 8,
  bool: 1,
};

/** TensorProto.DataType numbers (onnx.proto3). */
export const dtypeByNumber: Readonly<Record<number, DType>> = {
  1: 'float32',
  2: 'uint8',
  3: 'int8',
  4: 'uint16',
  5: 'int16',
  6: 'int32',
  7: 'int64',
  9: 'bool',
  10: 'float16',
  11: 'float64',
  12: 'uint32',
  13: 'uint64',
};

/** A constant. `data` holds the elements in row-major order, little endian, as ONNX's `raw_data` does. */
export interface Tensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: Uint8Array;
}

/** A named value with its type; a dimension the model leaves open is a string (its symbol) or null. */
export interface ValueInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly (number | string | null)[];
}

export type Attribute = number | string | readonly number[] | readonly string[] | Tensor | Graph;

export interface Node {
  readonly name: string;
  readonly op: string;
  /** Empty for the ONNX operators proper; `com.microsoft` for onnxruntime's own. */
  readonly domain: string;
  /** An empty name stands for an optional input left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

export interface Graph {
  readonly name: string;
  readonly opset: number;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  /** In topological order. */
  readonly nodes: readonly Node[];
}

/** A float32 constant from numbers. */
export function floatTensor(dims: readonly number[], values: Float32Array | readonly number[]): Tensor {
  const floats = values instanceof Float32Array ? values : Float32Array.from(values);
  return {
    dtype: 'float32',
    dims,
    data: new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength),
  };
}

/** An int64 constant from whole numbers, as shapes and axes need. */
export function int64Tensor(values: readonly number[], dims: readonly number[] = [values.length]): Tensor {
  const longs = BigInt64Array.from(values, BigInt);
  return { dtype: 'int64', dims, data: new Uint8Array(longs.buffer) };
}

/** The elements of a float32 constant, without a copy where alignment allows. */
export function floatsOf(tensor: Tensor): Float32Array {
  if (tensor.dtype !== 'float32') throw new TypeError(`expected float32, got ${tensor.dtype}`);
  const { buffer, byteOffset, byteLength } = tensor.data;
  // A copy by the constructor, never by slice(): a Buffer's slice shares the memory of its pool.
  return byteOffset % 4 === 0
    ? new Float32Array(buffer, byteOffset, byteLength / 4)
    : new Float32Array(new Uint8Array(tensor.data).buffer);
}

export const elementCount = (dims: readonly number[]): number =>
  dims.reduce((product, dim) => product * dim, 1);
