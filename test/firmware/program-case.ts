import { ConstantBlob } from '../../firmware-bridge/compiler/encode/constants.js';
import {
  abi,
  headerBytes,
  magic,
  none,
  type RecordFields,
  recordBytes,
  reference,
  writeRecord,
} from '../../firmware-bridge/compiler/layout/format.js';

/** One program, what the arena and the fetched input hold before it runs, and what must be where afterwards. */
export interface ProgramCase {
  readonly name: string;
  readonly program: Uint8Array;
  readonly arena: Uint8Array;
  readonly input: Uint8Array;
  readonly poolBytes: number;
  readonly patience: number;
  readonly expected: readonly { readonly at: number; readonly bytes: Int8Array }[];
}

/** Builds a case record by record. Arena offsets are handed out one behind the other, at any alignment asked for. */
export class CaseBuilder {
  readonly #records: RecordFields[] = [];
  readonly #constants = new ConstantBlob();
  readonly #filled: { at: number; bytes: Uint8Array }[] = [];
  readonly #expected: { at: number; bytes: Int8Array }[] = [];
  #arenaBytes = 0;
  input: Uint8Array = new Uint8Array(0);

  reserve(bytes: number, align = 4, skew = 0): number {
    const at = Math.ceil(this.#arenaBytes / align) * align + skew;
    this.#arenaBytes = at + bytes;
    return at;
  }

  scratch(bytes: number): number | undefined {
    return bytes === 0 ? undefined : reference('arena', this.reserve(bytes));
  }

  constant(values: ArrayBufferView): number {
    return this.#constants.place(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), true);
  }

  /** An array of int32, padded with zeros. */
  padded(values: Int32Array, multiple: number): number {
    const out = new Int32Array(Math.ceil(values.length / multiple) * multiple);
    out.set(values);
    return this.constant(out);
  }

  fill(at: number, values: Int8Array): void {
    this.#filled.push({ at, bytes: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) });
  }

  record(fields: RecordFields): void {
    this.#records.push(fields);
  }

  expect(at: number, bytes: Int8Array): void {
    this.#expected.push({ at, bytes });
  }

  build(name: string, patience = 0): ProgramCase {
    const constants = this.#constants.bytes();
    const constantsAt = Math.ceil((headerBytes + recordBytes * this.#records.length) / 16) * 16;
    const program = new Uint8Array(constantsAt + constants.length);
    const view = new DataView(program.buffer);
    view.setUint32(0, magic, true);
    view.setUint16(4, abi, true);
    view.setUint16(6, recordBytes, true);
    const header = [program.length, this.#records.length, constantsAt, constants.length, this.#arenaBytes, 0];
    header.push(this.input.length > 0 ? none : 0, this.input.length, 0, 0);
    header.forEach((value, i) => {
      view.setUint32(8 + 4 * i, value, true);
    });
    this.#records.forEach((record, i) => {
      writeRecord(view, headerBytes + recordBytes * i, record);
    });
    program.set(constants, constantsAt);
    const arena = new Uint8Array(this.#arenaBytes).fill(0x5a);
    for (const { at, bytes } of this.#filled) arena.set(bytes, at);
    return { name, program, arena, input: this.input, poolBytes: 0, patience, expected: this.#expected };
  }
}

/** Rows of channels laid out with a stride, the gaps holding the arena's filler. */
export function strided(rows: readonly ArrayLike<number>[], stride: number): Int8Array {
  const width = rows[0]?.length ?? 0;
  const out = new Int8Array((rows.length - 1) * stride + width).fill(0x5a);
  rows.forEach((row, i) => {
    out.set(Array.from(row), i * stride);
  });
  return out;
}
