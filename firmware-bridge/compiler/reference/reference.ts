import { HildaError } from '../../../daemon/core/errors.js';
import { weightPool } from '../encode/pool.js';
import { code, flag, none } from '../layout/format.js';
import type { Call, RecordConstants } from './call.js';
import { decodeConstants } from './decode-constants.js';
import { gather } from './gather-kernel.js';
import { generatedBytes } from './generate.js';
import { convolution, depthwise, linear, matmul } from './matrix-kernels.js';
import { isGroup, type ProgramHeader, type ProgramRecord, readHeader, readRecord } from './program.js';
import { argMax, gruCell, lstmCell, wideLinear, wideMultiply } from './recurrent-kernels.js';
import {
  add,
  averagePool,
  copy,
  fill,
  layerNorm,
  maxPool,
  multiply,
  softmax,
  table,
  transpose,
} from './row-kernels.js';

const kernels: Readonly<Record<number, (call: Call) => void>> = {
  [code.linear]: linear,
  [code.conv2d]: convolution,
  [code.depthwise]: depthwise,
  [code.matmul]: matmul,
  [code.softmax]: softmax,
  [code.layerNorm]: layerNorm,
  [code.table]: table,
  [code.add]: add,
  [code.multiply]: multiply,
  [code.averagePool]: averagePool,
  [code.maxPool]: maxPool,
  [code.transpose]: transpose,
  [code.copy]: copy,
  [code.fill]: fill,
  [code.argMax]: argMax,
  [code.lstmCell]: lstmCell,
  [code.gruCell]: gruCell,
  [code.gather]: gather,
};

/** Those with 16-bit outputs. */
const wideKernels: Readonly<Record<number, (call: Call) => void>> = {
  [code.linear]: wideLinear,
  [code.multiply]: wideMultiply,
};

/** Where a record runs in its group. */
interface Position {
  readonly in: number;
  readonly out: number;
  /** 0: all rows. */
  readonly rows: number;
  /** One output row of a windowed operator; undefined: all. */
  readonly row: number | undefined;
}

const once: Position = { in: 0, out: 0, rows: 0, row: undefined };

/**
 * Runs a program as the firmware does, integer for integer, from the same bytes. The arena is kept between runs, as on
 * a board. Programs are trusted: the firmware's check is the guard against bad ones.
 */
export class Reference {
  readonly header: ProgramHeader;
  readonly arena: Int8Array;
  readonly #records: readonly ProgramRecord[];
  readonly #constants: Int8Array;
  readonly #pool: Int8Array;
  readonly #decoded = new Map<number, RecordConstants>();
  readonly #generated = new Map<string, Int8Array>();
  #input = new Int8Array();

  constructor(program: Uint8Array) {
    this.header = readHeader(program);
    const { operatorCount, constantsOffset, constantsBytes, arenaBytes, poolBytes } = this.header;
    const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
    this.#records = Array.from({ length: operatorCount }, (_, i) => readRecord(view, i));
    const signed = (bytes: Uint8Array): Int8Array =>
      new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#constants = signed(program.subarray(constantsOffset, constantsOffset + constantsBytes));
    this.#pool = signed(weightPool(poolBytes));
    this.arena = new Int8Array(arenaBytes);
  }

  /** The network's output for an input, both int8 as the board holds them. */
  run(input: Int8Array): Int8Array {
    const { inputBytes, inputOffset, outputOffset, outputBytes } = this.header;
    if (input.length !== inputBytes)
      throw new HildaError(
        'REQUEST_INVALID',
        `the input has ${input.length} bytes, the network takes ${inputBytes}`,
      );
    this.#input = input as Int8Array<ArrayBuffer>;
    if (inputOffset !== undefined) this.arena.set(input, inputOffset);
    for (let i = 0; i < this.#records.length; i++) {
      const record = this.#records[i] as ProgramRecord;
      if (record.code === code.loop) this.#loop(record);
      else if (record.code === code.window) this.#window(record);
      else this.#runRecord(record, once);
      if (isGroup(record)) i += record.count;
    }
    return this.arena.slice(outputOffset, outputOffset + outputBytes);
  }

  #loop(group: ProgramRecord): void {
    const { rows: iterations, k: partial } = group.rows;
    const short = group.flags & flag.partialFirst ? 0 : iterations - 1;
    for (let i = 0; i < iterations; i++)
      for (let member = 1; member <= group.count; member++)
        this.#runRecord(this.#records[group.index + member] as ProgramRecord, {
          in: i,
          out: i,
          rows: i === short ? partial : 0,
          row: undefined,
        });
  }

  #window(group: ProgramRecord): void {
    const producers = group.window.kernelHeight;
    const member = (i: number): ProgramRecord => this.#records[group.index + 1 + i] as ProgramRecord;
    const windowed = member(producers);
    const w = windowed.window;
    let next = 0;
    for (let oy = 0; oy < w.outHeight; oy++) {
      const last = oy * w.strideHeight - w.padTop + (w.kernelHeight - 1) * w.dilationHeight;
      for (; next <= last && next < w.inHeight; next++)
        for (let i = 0; i < producers; i++) {
          const out = member(i).flags & flag.ringOut ? next % windowed.count : next;
          this.#runRecord(member(i), { in: next, out, rows: 0, row: undefined });
        }
      for (let i = producers; i < group.count; i++)
        this.#runRecord(member(i), { in: oy, out: oy, rows: 0, row: i === producers ? oy : undefined });
    }
  }

  #runRecord(record: ProgramRecord, at: Position): void {
    const out = (record.out & 0x3fffffff) + record.outStep * at.out;
    if (record.code === code.fetch) {
      const from = record.rows.offset + record.inStep * at.in;
      this.arena.set(this.#input.subarray(from, from + record.rows.n), out);
      return;
    }
    if (record.code === code.generate) {
      this.arena.set(this.#generatedOf(record, record.rows.offset + record.inStep * at.in), out);
      return;
    }
    const wide = record.flags & flag.wide ? wideKernels[record.code] : undefined;
    const kernel = wide ?? kernels[record.code];
    if (!kernel)
      throw new HildaError('REQUEST_INVALID', `the program holds the unknown operator ${record.code}`);
    kernel({
      record,
      arena: this.arena,
      in: (record.in & 0x3fffffff) + record.inStep * at.in,
      inMemory: this.#memory(record.in),
      in1: (record.in1 & 0x3fffffff) + record.in1Step * at.in,
      in1Memory: this.#memory(record.in1),
      out,
      rows: at.rows > 0 ? Math.min(at.rows, record.rows.rows) : record.rows.rows,
      firstRow: at.row ?? 0,
      endRow: at.row === undefined ? record.window.outHeight : at.row + 1,
      constants: this.#constantsOf(record),
    });
  }

  #memory(reference: number): Int8Array {
    return [this.arena, this.#constants, this.#pool][reference >>> 30] ?? this.arena;
  }

  /** Generated once: the same in every run. */
  #generatedOf(record: ProgramRecord, block: number): Int8Array {
    const key = `${record.index} ${block}`;
    const known = this.#generated.get(key) ?? generatedBytes(record, block);
    this.#generated.set(key, known);
    return known;
  }

  /** Decoded once, but for weights that are copied into the arena before each use. */
  #constantsOf(record: ProgramRecord): RecordConstants {
    const known = this.#decoded.get(record.index);
    if (known) return known;
    const decoded = decodeConstants(record, (reference, length) => {
      const memory = this.#memory(reference);
      const at = reference & 0x3fffffff;
      return new Uint8Array(memory.buffer, memory.byteOffset + at, Math.min(length, memory.length - at));
    });
    const inArena = record.weights !== none && record.weights >>> 30 === 0;
    if (!inArena) this.#decoded.set(record.index, decoded);
    return decoded;
  }
}

/** One run of a program: its output for an input. */
export const runReference = (program: Uint8Array, input: Int8Array): Int8Array =>
  new Reference(program).run(input);
