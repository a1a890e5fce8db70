import { Builder } from 'flatbuffers';
import { operatorNames, optionNames, typeNames } from './schema.js';

export interface TensorSpec {
  readonly name?: string;
  readonly dims: readonly number[];
  /** Default: float32. */
  readonly type?: string;
  /** Elements, or raw bytes, of a constant. */
  readonly data?: readonly number[] | Uint8Array;
  readonly scales?: readonly number[];
  readonly zeros?: readonly number[];
  readonly axis?: number;
  readonly signature?: readonly number[];
  readonly variable?: boolean;
  readonly sparse?: boolean;
  /** The tensor whose bytes it shares. */
  readonly shares?: number;
}

/** A field of a table: its kind and value; undefined leaves it out. */
export type Field =
  | readonly ['byte' | 'int' | 'float' | 'long', number]
  | readonly ['ints', readonly number[]]
  | undefined;

export interface OperatorSpec {
  readonly op: string;
  readonly version?: number;
  readonly custom?: string;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  readonly options?: { readonly type: string; readonly fields: readonly Field[] };
}

export interface ModelSpec {
  readonly tensors: readonly TensorSpec[];
  readonly operators: readonly OperatorSpec[];
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Schema version. */
  readonly version?: number;
  /** Constants stand behind the flatbuffer, as in files above 2 GiB. */
  readonly behind?: boolean;
  /** Codes stand in the byte alone that old files have. */
  readonly oldCodes?: boolean;
}

const writers: Readonly<Record<string, (values: readonly number[]) => ArrayBufferView>> = {
  float32: (v) => Float32Array.from(v),
  int32: (v) => Int32Array.from(v),
  int8: (v) => Int8Array.from(v),
  uint8: (v) => Uint8Array.from(v),
  bool: (v) => Uint8Array.from(v),
  int16: (v) => Int16Array.from(v),
  int64: (v) => BigInt64Array.from(v, BigInt),
  float16: (v) => Uint16Array.from(v),
};

function bytesOf({ data, type = 'float32' }: TensorSpec): Uint8Array {
  if (!data) return new Uint8Array();
  if (data instanceof Uint8Array) return data;
  const view = writers[type]?.(data) as ArrayBufferView;
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** A table from its fields in order; offsets are made before. */
function table(b: Builder, fields: readonly (Field | readonly ['offset', number])[]): number {
  const lists = fields.map((field) => (field?.[0] === 'ints' ? ints(b, field[1]) : 0));
  b.startObject(fields.length);
  fields.forEach((field, i) => {
    if (!field) return;
    if (field[0] === 'ints') b.addFieldOffset(i, lists[i] as number, 0);
    else if (field[0] === 'offset') b.addFieldOffset(i, field[1], 0);
    else if (field[0] === 'byte') b.addFieldInt8(i, field[1], null);
    else if (field[0] === 'int') b.addFieldInt32(i, field[1], null);
    else if (field[0] === 'float') b.addFieldFloat32(i, field[1], null);
    else b.addFieldInt64(i, BigInt(field[1]), null);
  });
  return b.endObject();
}

/** Elements begin at a multiple of 16 bytes, as the schema asks for (`force_align: 16`): kernels read them in place. */
function alignedBytes(b: Builder, data: Uint8Array): number {
  b.startVector(1, data.length, 16);
  for (let i = data.length - 1; i >= 0; i--) b.addInt8(data[i] as number);
  return b.endVector();
}

function ints(b: Builder, values: readonly number[]): number {
  b.startVector(4, values.length, 4);
  for (const value of values.toReversed()) b.addInt32(value);
  return b.endVector();
}

function floats(b: Builder, values: readonly number[]): number {
  b.startVector(4, values.length, 4);
  for (const value of values.toReversed()) b.addFloat32(value);
  return b.endVector();
}

function longs(b: Builder, values: readonly number[]): number {
  b.startVector(8, values.length, 8);
  for (const value of values.toReversed()) b.addInt64(BigInt(value));
  return b.endVector();
}

function offsets(b: Builder, values: readonly number[]): number {
  b.startVector(4, values.length, 4);
  for (const value of values.toReversed()) b.addOffset(value);
  return b.endVector();
}

/** The bytes of a TensorFlow Lite file; buffer 0 is empty, buffer i + 1 belongs to tensor i. */
export function writeTflite(model: ModelSpec): Uint8Array {
  const behind: Uint8Array[] = [];
  const first = build(model, behind, 0);
  if (!model.behind) return first;
  // The offsets are of one width, so that a second pass knows where the constants begin.
  const start = Math.ceil(first.length / 16) * 16;
  behind.length = 0;
  const file = build(model, behind, start);
  const whole = new Uint8Array(start + behind.reduce((sum, part) => sum + part.length, 0));
  whole.set(file);
  let at = start;
  for (const part of behind) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

function build(model: ModelSpec, behind: Uint8Array[], start: number): Uint8Array {
  const b = new Builder(1024);
  let at = start;
  const buffers = [new Uint8Array(), ...model.tensors.map(bytesOf)].map((data) => {
    if (!model.behind || data.length === 0)
      return table(b, [data.length > 0 ? ['offset', alignedBytes(b, data)] : undefined]);
    behind.push(data);
    const made = table(b, [undefined, ['long', at], ['long', data.length]]);
    at += data.length;
    return made;
  });
  const tensors = model.tensors.map((spec, i) => {
    const { name = `t${i}`, dims, type = 'float32', scales, zeros, axis, signature, variable, sparse } = spec;
    const quantisation = scales
      ? table(b, [
          undefined,
          undefined,
          ['offset', floats(b, scales)],
          ['offset', longs(b, zeros ?? scales.map(() => 0))],
          undefined,
          undefined,
          axis === undefined ? undefined : ['int', axis],
        ])
      : undefined;
    const sparsity = sparse ? table(b, [['ints', [0]]]) : undefined;
    return table(b, [
      ['ints', dims],
      ['byte', typeNames.indexOf(type)],
      ['int', spec.shares === undefined ? (spec.data ? i + 1 : 0) : spec.shares + 1],
      ['offset', b.createString(name)],
      quantisation === undefined ? undefined : ['offset', quantisation],
      variable ? ['byte', 1] : undefined,
      sparsity === undefined ? undefined : ['offset', sparsity],
      signature ? ['ints', signature] : undefined,
    ]);
  });
  const codes = model.operators.map(({ op, version = 1, custom }) => {
    const code = operatorNames.indexOf(op);
    const name = custom === undefined ? undefined : (['offset', b.createString(custom)] as const);
    const wide = model.oldCodes ? undefined : (['int', code] as const);
    return table(b, [['byte', Math.min(code, 127)], name, ['int', version], wide]);
  });
  const operators = model.operators.map(({ inputs, outputs, options }, i) => {
    const made = options && table(b, options.fields);
    return table(b, [
      ['int', i],
      ['ints', inputs],
      ['ints', outputs],
      options ? ['byte', optionNames.indexOf(options.type)] : undefined,
      made === undefined ? undefined : ['offset', made],
    ]);
  });
  const main = table(b, [
    ['offset', offsets(b, tensors)],
    ['ints', model.inputs],
    ['ints', model.outputs],
    ['offset', offsets(b, operators)],
    ['offset', b.createString('main')],
  ]);
  const root = table(b, [
    ['int', model.version ?? 3],
    ['offset', offsets(b, codes)],
    ['offset', offsets(b, [main])],
    undefined,
    ['offset', offsets(b, buffers)],
  ]);
  b.finish(root, 'TFL3');
  return b.asUint8Array().slice();
}
