/**
 * The in-memory form of an ONNX model: the decoded protobuf with the parts that hilda reads, and nothing of our own
 * added. Read with `readOnnx`, write with `writeOnnx`, build with `GraphBuilder`.
 */
export type DType =
  | 'float32'
  | 'float16'
  | 'bfloat16'
  | 'float64'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'bool'
  | 'string'
  | 'complex64'
  | 'complex128'
  | 'float8e4m3fn'
  | 'float8e4m3fnuz'
  | 'float8e5m2'
  | 'float8e5m2fnuz'
  | 'uint4'
  | 'int4';

/** Two 4-bit elements share a byte. A string counts as the pointer to it. */
export const bytesPerElement: Readonly<Record<DType, number>> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
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
  string: 8,
  complex64: 8,
  complex128: 16,
  float8e4m3fn: 1,
  float8e4m3fnuz: 1,
  float8e5m2: 1,
  float8e5m2fnuz: 1,
  uint4: 0.5,
  int4: 0.5,
};

/** TensorProto.DataType numbers (onnx.proto3). */
export const dtypeByNumber: ReadonlyMap<number, DType> = new Map([
  [1, 'float32'],
  [2, 'uint8'],
  [3, 'int8'],
  [4, 'uint16'],
  [5, 'int16'],
  [6, 'int32'],
  [7, 'int64'],
  [8, 'string'],
  [9, 'bool'],
  [10, 'float16'],
  [11, 'float64'],
  [12, 'uint32'],
  [13, 'uint64'],
  [14, 'complex64'],
  [15, 'complex128'],
  [16, 'bfloat16'],
  [17, 'float8e4m3fn'],
  [18, 'float8e4m3fnuz'],
  [19, 'float8e5m2'],
  [20, 'float8e5m2fnuz'],
  [21, 'uint4'],
  [22, 'int4'],
]);

/** A constant. `data` holds the elements in row-major order, little endian, as ONNX's `raw_data` does. */
export interface Tensor {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: Uint8Array;
  /** The elements of a `string` tensor in UTF-8, whose `data` is empty. */
  readonly strings?: readonly Uint8Array[];
}

/**
 * The protobuf message that a part of a graph was read from. Writing uses it again for what is unchanged, so that reading and
 * writing a file lose nothing. It stands under a symbol: spreads carry it along, comparisons pass it by.
 */
export const origin: unique symbol = Symbol('origin');

/** A named value with its type; a dimension the model leaves open is a string (its symbol) or null. */
export interface ValueInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly dims: readonly (number | string | null)[];
  /** The model states no shape, not even how many dimensions there are; `dims` is empty. */
  readonly unranked?: true;
  /** Not a dense tensor. `dtype` and `dims` mean nothing then. */
  readonly container?: 'sequence' | 'optional' | 'map' | 'sparse';
  readonly [origin]?: unknown;
}

/** An attribute of a kind that nothing here reads: a sparse tensor, a type, a list of tensors, a reference. */
export interface OpaqueAttribute {
  /** AttributeProto.AttributeType number; 0 for a reference to a function's attribute. */
  readonly opaque: number;
  /** SHA-256 of its bytes. */
  readonly sha256: string;
}

export type Attribute =
  | number
  | string
  | readonly number[]
  | readonly string[]
  | Tensor
  | Graph
  | OpaqueAttribute;

export interface Node {
  readonly name: string;
  readonly op: string;
  /** Empty for the ONNX operators proper; `com.microsoft` for onnxruntime's own. */
  readonly domain: string;
  /** An empty name stands for an optional input left out. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly [origin]?: unknown;
}

/** What an input is fed with in timed runs: these elements, or numbers drawn uniformly from `low` to `high`. */
export type Feed = Tensor | { readonly low: number; readonly high: number };

export interface Graph {
  readonly name: string;
  /** Of the default domain; 0 where the model does not import it. */
  readonly opset: number;
  /** Operator set by domain, for every domain but the default one. */
  readonly domains?: ReadonlyMap<string, number>;
  readonly irVersion?: number;
  /** The format of the user's file, where that is not ONNX. */
  readonly convertedFrom?: string;
  /** Without those that have an initialiser. */
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  /** Initialisers that a caller may replace (inputs too, IR version 4 on): no runtime folds them. */
  readonly overridable?: readonly ValueInfo[];
  /** In topological order. */
  readonly nodes: readonly Node[];
  /** SHA-256 of the model's own functions, where it has any. */
  readonly functions?: string;
  /** By input, where the user chose what it is fed with. */
  readonly feeds?: ReadonlyMap<string, Feed>;
  readonly [origin]?: unknown;
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
  // INT64_MAX is 2^63 as a double, which would wrap.
  const longs = BigInt64Array.from(values, (value) => (value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(value)));
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

/** Bytes of so many elements of a type. */
export const byteCount = (dtype: DType, dims: readonly number[]): number =>
  Math.ceil(elementCount(dims) * bytesPerElement[dtype]);

export const elementCount = (dims: readonly number[]): number =>
  dims.reduce((product, dim) => product * dim, 1);
