import { ceilTo, code, none, weightLayouts } from '../layout/format.js';
import { packedBytes, unpackWeights } from '../layout/pack-weights.js';
import { curveEntries } from '../quantise/curves.js';
import type { RecordConstants } from './call.js';
import type { ProgramRecord } from './program.js';

/** Decodes a record's constants from the memory its references name. */
export function decodeConstants(
  record: ProgramRecord,
  bytesAt: (reference: number, length: number) => Uint8Array,
): RecordConstants {
  const copied = (reference: number, length: number): ArrayBuffer =>
    reference === none ? new ArrayBuffer(0) : new Uint8Array(bytesAt(reference, length)).buffer;
  const { rows, window } = record;
  const empty = { weights: new Int16Array(), bias: new Int32Array(), multipliers: new Int32Array() };
  const none256 = { table: new Int8Array(), exponentials: new Uint16Array(), curves: new Int16Array() };
  const arrays = (reference: number, count: number): Int32Array =>
    new Int32Array(copied(reference, 4 * count));
  switch (record.code) {
    case code.linear:
    case code.conv2d: {
      const isLinear = record.code === code.linear;
      const k = isLinear ? rows.k : window.kernelHeight * window.kernelWidth * window.inChannels;
      const n = isLinear ? rows.n : window.outChannels;
      const layout = weightLayouts[record.layout] ?? 'rows';
      const packed = new Uint8Array(copied(record.weights, packedBytes(n, k, layout)));
      return {
        ...none256,
        weights: unpackWeights(packed, n, k, layout),
        bias: arrays(record.bias, n),
        multipliers: arrays(record.multipliers, n),
      };
    }
    case code.depthwise: {
      const c = window.inChannels;
      const taps = window.kernelHeight * window.kernelWidth;
      const packed = new Int8Array(copied(record.weights, taps * ceilTo(c, 4)));
      const weights = Int16Array.from(
        { length: taps * c },
        (_, i) => packed[Math.floor(i / c) * ceilTo(c, 4) + (i % c)] as number,
      );
      return {
        ...none256,
        weights,
        bias: arrays(record.bias, c),
        multipliers: arrays(record.multipliers, c),
      };
    }
    case code.layerNorm:
      return {
        ...none256,
        ...empty,
        bias: arrays(record.bias, rows.n),
        multipliers: arrays(record.multipliers, rows.n),
      };
    case code.averagePool:
      return {
        ...none256,
        ...empty,
        multipliers: arrays(record.multipliers, window.kernelHeight * window.kernelWidth),
      };
    case code.table:
      return { ...none256, ...empty, table: new Int8Array(copied(record.weights, 256)) };
    case code.gather:
      return { ...none256, ...empty, table: new Int8Array(copied(record.weights, rows.k * rows.n)) };
    case code.softmax:
      return { ...none256, ...empty, exponentials: new Uint16Array(copied(record.weights, 512)) };
    case code.lstmCell:
    case code.gruCell: {
      const tables = record.code === code.lstmCell ? 5 : rows.k === 4 ? 4 : 3;
      const curves = new Int16Array(copied(record.weights, 2 * tables * curveEntries));
      return { ...none256, ...empty, curves };
    }
    default:
      return { ...none256, ...empty };
  }
}
