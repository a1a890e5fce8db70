import onnxProto from 'onnx-proto';
import type { Given } from './onnxruntime.js';

const { onnx } = onnxProto;

type Wide = 'float' | 'double' | 'int32' | 'int64' | 'uint64';
type Elements = Exclude<Given['data'], string[]>;
interface Kind {
  readonly type: Given['type'];
  /** Field of TensorProto that holds the elements where there is no raw data. */
  readonly field: Wide;
  readonly array: { readonly BYTES_PER_ELEMENT: number; new (buffer: ArrayBuffer): Elements };
}

/** TensorProto.DataType by number, apart from daemon/network so that a fault there shows. */
const kinds = new Map<number, Kind>([
  [1, { type: 'float32', field: 'float', array: Float32Array }],
  [2, { type: 'uint8', field: 'int32', array: Uint8Array }],
  [3, { type: 'int8', field: 'int32', array: Int8Array }],
  [4, { type: 'uint16', field: 'int32', array: Uint16Array }],
  [5, { type: 'int16', field: 'int32', array: Int16Array }],
  [6, { type: 'int32', field: 'int32', array: Int32Array }],
  [7, { type: 'int64', field: 'int64', array: BigInt64Array }],
  [9, { type: 'bool', field: 'int32', array: Uint8Array }],
  [10, { type: 'float16', field: 'int32', array: Uint16Array }],
  [11, { type: 'float64', field: 'double', array: Float64Array }],
  [12, { type: 'uint32', field: 'uint64', array: Uint32Array }],
  [13, { type: 'uint64', field: 'uint64', array: BigUint64Array }],
]);

/** Decodes a stored tensor; null for element types without an array in JavaScript. */
export function givenTensor(bytes: Uint8Array): Given | null {
  const proto = onnx.TensorProto.decode(bytes);
  const dims = (proto.dims ?? []).map(Number);
  if (proto.dataType === 8)
    return { type: 'string', dims, data: proto.stringData.map((text) => new TextDecoder().decode(text)) };
  const kind = kinds.get(proto.dataType ?? 0);
  if (!kind) return null;
  if (proto.rawData?.length)
    return { type: kind.type, dims, data: new kind.array(new Uint8Array(proto.rawData).buffer) };
  const wide = {
    float: proto.floatData,
    double: proto.doubleData,
    int32: proto.int32Data,
    int64: proto.int64Data,
    uint64: proto.uint64Data,
  }[kind.field];
  const data = new kind.array(new ArrayBuffer(wide.length * kind.array.BYTES_PER_ELEMENT));
  const big = data instanceof BigInt64Array || data instanceof BigUint64Array;
  for (const [i, value] of wide.entries())
    (data as { [index: number]: number | bigint })[i] = big ? BigInt(String(value)) : Number(value);
  return { type: kind.type, dims, data };
}
