import { byteCount, type DType } from '../graph.js';
import { FlatFile, type Table } from './flat.js';
import { invalid } from './invalid.js';
import { customCode, operatorNames, placeholderCode, readableTypes, typeNames } from './schema.js';

/** real = scale * (stored - zero point): one pair, or one for each index along `axis`. */
export interface Quantisation {
  readonly scales: readonly number[];
  readonly zeroPoints: readonly number[];
  readonly axis: number;
}

export interface TfliteTensor {
  readonly name: string;
  readonly dims: readonly number[];
  /** Some dimension of `dims` may differ at run time. */
  readonly open: boolean;
  /** TensorFlow Lite's name of the element type. */
  readonly type: string;
  /** Undefined for types that networks are not read with. */
  readonly dtype: DType | undefined;
  readonly quantisation?: Quantisation;
  /** The elements of a constant. */
  readonly data?: Uint8Array;
  /** Why the tensor cannot be read, where a part of it is not supported. */
  readonly refused?: string;
  readonly variable: boolean;
}

export interface TfliteOperator {
  readonly name: string;
  readonly version: number;
  /** Indices of tensors; -1 for one left out. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Number of the options' type in the union, 0 for none. */
  readonly optionsType: number;
  readonly options: Table | undefined;
}

export interface TfliteModel {
  readonly name: string;
  readonly tensors: readonly TfliteTensor[];
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly operators: readonly TfliteOperator[];
}

const maxRank = 8;

/** Whether bytes begin like a TensorFlow Lite file. In ONNX the identifier could only stand behind a byte above zero. */
export const isTflite = (bytes: Uint8Array): boolean =>
  bytes.length >= 8 && bytes[3] === 0 && String.fromCharCode(...bytes.subarray(4, 8)) === 'TFL3';

/** The main network of a file. Throws TFLITE_INVALID. */
export function readTables(bytes: Uint8Array): TfliteModel {
  if (!isTflite(bytes)) throw invalid('it lacks the identifier TFL3');
  const file = new FlatFile(bytes);
  const root = file.root();
  if (root.uint(0) !== 3) throw invalid(`its schema has the version ${root.uint(0)}, not 3`);
  const codes = root.tables(1).map(readCode);
  const [main] = root.tables(2);
  if (!main) throw invalid('it holds no network');
  const buffers = root.tables(4).map((table) => readBuffer(file, table));
  const tensors = main.tables(0).map((table, i) => readTensor(table, i, buffers));
  const index = (i: number, optional: boolean): number => {
    if (!(i >= (optional ? -1 : 0) && i < tensors.length))
      throw invalid(`it refers to tensor ${i} of ${tensors.length}`);
    return i;
  };
  const operators = main.tables(3).map((table): TfliteOperator => {
    const code = codes[table.uint(0)];
    if (!code) throw invalid(`an operator has the code ${table.uint(0)} of ${codes.length}`);
    return {
      ...code,
      inputs: table.ints(1).map((i) => index(i, true)),
      outputs: table.ints(2).map((i) => index(i, false)),
      optionsType: table.byte(3) & 0xff,
      options: table.table(4),
    };
  });
  return {
    name: main.text(4) || 'main',
    tensors,
    inputs: main.ints(1).map((i) => index(i, false)),
    outputs: main.ints(2).map((i) => index(i, false)),
    operators,
  };
}

/** Old files have the code in a byte alone; codes above 126 stand in a field of their own. */
function readCode(table: Table): { readonly name: string; readonly version: number } {
  const code = Math.max(table.byte(0), table.int(3));
  const custom = table.text(1);
  const known = code === placeholderCode ? undefined : operatorNames[code];
  const name = code === customCode ? `CUSTOM ${custom}` : (known ?? `with the code ${code}`);
  return { name, version: table.int(2, 1) };
}

/** Files above 2 GiB keep their constants behind the flatbuffer. */
function readBuffer(file: FlatFile, table: Table): Uint8Array {
  const [offset, size] = [table.long(1), table.long(2)];
  return offset > 1 ? file.slice(offset, size) : table.bytes(0);
}

function readTensor(table: Table, index: number, buffers: readonly Uint8Array[]): TfliteTensor {
  const name = table.text(3);
  const shown = name || `tensor ${index}`;
  const dims = table.ints(0);
  if (dims.length > maxRank) throw invalid(`${shown} has ${dims.length} dimensions, at most ${maxRank}`);
  const open = dims.some((size) => size < 0) || table.ints(7).some((size) => size < 0);
  const code = table.byte(1);
  const type = typeNames[code] ?? `type ${code}`;
  const dtype = readableTypes.get(type);
  const buffer = buffers[table.uint(2)];
  if (!buffer) throw invalid(`${shown} has the buffer ${table.uint(2)} of ${buffers.length}`);
  const sparse = table.has(6);
  const constant = buffer.length > 0;
  if (constant && dtype && !sparse && buffer.length !== byteCount(dtype, dims))
    throw invalid(
      `${shown} holds ${buffer.length} bytes, its shape [${dims}] of ${type} needs ${byteCount(dtype, dims)}`,
    );
  const parameters = table.table(4);
  const quantisation = parameters && readQuantisation(parameters);
  const refused = sparse
    ? 'sparse tensors are not supported'
    : dtype === undefined
      ? `the element type ${type} is not supported`
      : table.has(10)
        ? 'constants in other files are not supported'
        : parameters?.byte(4)
          ? 'custom quantisation is not supported'
          : quantisation && whyNot(quantisation);
  return {
    name,
    dims,
    open,
    type,
    dtype,
    ...(quantisation && { quantisation }),
    ...(constant && { data: buffer }),
    ...(refused && { refused }),
    variable: table.bool(5),
  };
}

/** Undefined for parameters that hold observed ranges alone. */
function readQuantisation(table: Table): Quantisation | undefined {
  const scales = table.floats(2);
  if (scales.length === 0) return undefined;
  const zeroPoints = table.longs(3);
  return { scales, zeroPoints: zeroPoints.length > 0 ? zeroPoints : scales.map(() => 0), axis: table.int(6) };
}

function whyNot({ scales, zeroPoints }: Quantisation): string | undefined {
  if (scales.length === zeroPoints.length || zeroPoints.length === 1) return undefined;
  return `${scales.length} scales with ${zeroPoints.length} zero points are not supported`;
}
