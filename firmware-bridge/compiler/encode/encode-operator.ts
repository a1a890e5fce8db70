import { HildaError } from '../../../daemon/core/errors.js';
import {
  ceilTo,
  code,
  flag,
  type RecordFields,
  reference,
  type WeightLayout,
  weightLayouts,
} from '../layout/format.js';
import { layoutFor, packWeights } from '../layout/pack-weights.js';
import type { Body, CellBody, View, Window } from '../lower/operators.js';
import type { Task } from '../plan/schedule.js';
import { multiplierOf, shiftFor } from '../quantise/quantisation.js';
import type { LayerConstants } from '../quantise/quantise-weights.js';
import type { ConstantStore } from './constants.js';
import { layerNormConstants, softmaxTable } from './normalisation.js';

export interface EncodeContext {
  readonly constants: ConstantStore;
  readonly layout: WeightLayout;
  /** Arena offset of a storage. */
  offsetOf(storage: number): number;
  /** Arena offset of a task's scratch; undefined where it needs none. */
  scratchOf(task: Task): number | undefined;
  /** Arena offset of the tile that a task's weights were copied to. */
  tileOf(task: Task): number | undefined;
}

/** The record of a task (ABI.md, "Operator record"). */
export function encodeOperator(task: Task, context: EncodeContext): RecordFields {
  const { operator, readSteps, writeStep } = task;
  const { body, write } = operator;
  const arena = (view: View): number => reference('arena', context.offsetOf(view.storage) + view.offset);
  const [first, second] = operator.reads.map((read) => read.view);
  const scratch = context.scratchOf(task);
  const common = {
    out: arena(write),
    outStride: write.rowStride,
    outStep: writeStep,
    ...(first && { in: arena(first), inStride: first.rowStride, inStep: readSteps[0] ?? 0 }),
    ...(scratch !== undefined && { scratch: reference('arena', scratch) }),
    ...(task.ringOut && { flags: flag.ringOut }),
  };
  const rows = write.rows;
  const n = write.width;
  switch (body.kind) {
    case 'linear':
      return {
        ...common,
        code: code.linear,
        ...layerFields(task, body.constants, 'packed', context),
        ...clamps(body),
        zeroOut: body.y.zeroPoint,
        ...(body.wide && { flags: flag.wide }),
        rows: { rows, k: body.constants.depth, n: body.constants.outputs, outColumnStride: 1 },
      };
    case 'conv':
      return {
        ...common,
        ...pixelStrides(body.window),
        ...(task.ringRows && { count: task.ringRows }),
        code: code.conv2d,
        ...layerFields(task, body.constants, 'packed', context),
        ...clamps(body),
        zeroIn: body.x.zeroPoint,
        zeroOut: body.y.zeroPoint,
        window: windowFields(body.window),
      };
    case 'depthwise':
      return {
        ...common,
        ...pixelStrides(body.window),
        ...(task.ringRows && { count: task.ringRows }),
        code: code.depthwise,
        ...layerFields(task, body.constants, 'channels', context),
        ...clamps(body),
        zeroIn: body.x.zeroPoint,
        zeroOut: body.y.zeroPoint,
        window: windowFields(body.window),
      };
    case 'maxPool':
    case 'averagePool':
      return { ...common, ...poolFields(task, body, context) };
    case 'mean':
      return { ...common, ...meanFields(first as View, body) };
    case 'matmul': {
      const b = second as View;
      const scale = (body.a.scale * body.b.scale * body.factor) / body.y.scale;
      const shift = provenShift(operator.name, scale, body.depth * 255 * 255);
      return {
        ...common,
        ...clamps(body),
        code: code.matmul,
        shift,
        in1: arena(b),
        in1Stride: body.bTransposed ? b.rowStride : 1,
        in1Step: readSteps[1] ?? 0,
        zeroIn: body.a.zeroPoint,
        zeroIn1: body.b.zeroPoint,
        zeroOut: body.y.zeroPoint,
        rows: {
          rows,
          k: body.depth,
          n,
          in1ColumnStride: body.bTransposed ? 1 : b.rowStride,
          outColumnStride: 1,
          multiplier: multiplierOf(scale, shift),
        },
      };
    }
    case 'add':
    case 'mul':
      return {
        ...common,
        ...secondOperand(task, second, context),
        ...binaryFields(operator.name, body, rows, n),
      };
    case 'argMax':
      return {
        ...common,
        code: code.argMax,
        flags: (body.least ? flag.least : 0) | (body.last ? flag.last : 0),
        rows: { rows, n: (first as View).width },
      };
    case 'lstmCell':
    case 'gruCell':
      return { ...common, ...cellFields(operator.name, body, context) };
    case 'gather':
      return {
        ...common,
        code: code.gather,
        weights: context.constants.place(bytesOf(body.table), true),
        rows: { rows, k: body.rows, n },
      };
    case 'lookup':
      return {
        ...common,
        code: code.table,
        weights: context.constants.place(bytesOf(body.table), false),
        rows: { rows, n },
      };
    case 'softmax':
      return {
        ...common,
        code: code.softmax,
        zeroOut: body.y.zeroPoint,
        low: -128,
        high: 127,
        weights: context.constants.place(bytesOf(softmaxTable(body.x.scale)), false),
        rows: { rows, n },
      };
    case 'layerNorm': {
      const { shift, multiplier, gamma, beta } = layerNormConstants(operator.name, body);
      return {
        ...common,
        code: code.layerNorm,
        shift,
        low: -128,
        high: 127,
        multipliers: context.constants.place(bytesOf(gamma), false),
        bias: context.constants.place(bytesOf(beta), false),
        rows: { rows, n, multiplier },
      };
    }
    case 'copy':
      return { ...common, code: code.copy, rows: { rows, n } };
    case 'constant':
      return {
        ...common,
        code: code.copy,
        in: context.constants.place(bytesOf(body.data), false),
        inStride: n,
        rows: { rows, n },
      };
    case 'fetch':
      return {
        ...common,
        code: code.fetch,
        inStep: body.step,
        rows: { rows: 1, n, offset: body.offset },
      };
    case 'transpose': {
      const lead = 4 - body.dims.length;
      const pad = new Array<number>(lead);
      // The shape of a transpose takes the strides' place.
      return {
        code: code.transpose,
        in: common.in as number,
        inStep: readSteps[0] ?? 0,
        out: common.out,
        outStep: writeStep,
        transpose: {
          sizes: [...pad.fill(1), ...body.dims],
          strides: [...new Array<number>(lead).fill(0), ...body.strides],
        },
      };
    }
  }
}

const clamps = ({
  low,
  high,
}: {
  readonly low: number;
  readonly high: number;
}): { low: number; high: number } => ({
  low,
  high,
});

const bytesOf = (array: { buffer: ArrayBufferLike; byteOffset: number; byteLength: number }): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

const padded = (values: Int32Array, multiple: number): Uint8Array => {
  const out = new Int32Array(ceilTo(values.length, multiple));
  out.set(values);
  return bytesOf(out);
};

/** The constants of a layer as bytes: `packed` for LINEAR and CONV2D, `channels` for DEPTHWISE. */
export function weightBytes(
  constants: LayerConstants,
  form: 'packed' | 'channels',
  layout: WeightLayout,
): Uint8Array {
  const { weights, outputs, depth } = constants;
  if (form === 'packed') return packWeights(weights, outputs, depth, layoutFor(constants, layout));
  // [channel][tap] to [tap][ceil4(channel)].
  const c4 = ceilTo(outputs, 4);
  const out = new Int8Array(depth * c4);
  for (let c = 0; c < outputs; c++)
    for (let tap = 0; tap < depth; tap++) out[tap * c4 + c] = weights[c * depth + tap] as number;
  return bytesOf(out);
}

function layerFields(
  task: Task,
  constants: LayerConstants,
  form: 'packed' | 'channels',
  { constants: store, layout, tileOf }: EncodeContext,
): Pick<RecordFields, 'layout' | 'shift' | 'weights' | 'bias' | 'multipliers'> {
  const tile = tileOf(task);
  const multiple = form === 'packed' ? 4 : 16;
  return {
    layout: form === 'packed' ? weightLayouts.indexOf(layoutFor(constants, layout)) : 0,
    shift: constants.shift,
    weights:
      tile === undefined ? store.place(weightBytes(constants, form, layout), true) : reference('arena', tile),
    bias: store.place(padded(constants.bias, multiple), true),
    multipliers: store.place(padded(constants.multipliers, multiple), true),
  };
}

const pixelStrides = ({ inStride, outStride }: Window): { inStride: number; outStride: number } => ({
  inStride,
  outStride,
});

const windowFields = (w: Window): NonNullable<RecordFields['window']> => ({
  inHeight: w.inHeight,
  inWidth: w.inWidth,
  inChannels: w.inChannels,
  outHeight: w.outHeight,
  outWidth: w.outWidth,
  outChannels: w.outChannels,
  kernel: w.kernel,
  stride: w.stride,
  dilation: w.dilation,
  padTop: w.padTop,
  padLeft: w.padLeft,
});

/** The left shift of a requantisation whose accumulator is at most `bound`, proven not to overflow. */
function provenShift(name: string, scale: number, bound: number): number {
  const shift = shiftFor(scale, name);
  if (bound * 2 ** shift < 2 ** 31) return shift;
  throw new HildaError('QUANTISATION_FAILED', `${name}: an accumulator of ${bound} does not fit 32 bits`, {
    details: { name, bound },
  });
}

function poolFields(
  task: Task,
  body: Extract<Body, { kind: 'maxPool' | 'averagePool' }>,
  { constants }: EncodeContext,
): RecordFields {
  const { window: w } = body;
  const fields = windowFields(w);
  const common = { ...pixelStrides(w), ...clamps(body), ...(task.ringRows && { count: task.ringRows }) };
  if (body.kind === 'maxPool') return { ...common, code: code.maxPool, window: fields };
  const taps = w.kernel[0] * w.kernel[1];
  const scale = body.x.scale / body.y.scale;
  const shift = provenShift(task.operator.name, scale, taps * 255);
  const zero = { zeroIn: body.x.zeroPoint, zeroOut: body.y.zeroPoint };
  if (body.countsPadding)
    return {
      ...common,
      ...zero,
      code: code.averagePool,
      shift,
      window: { ...fields, multiplier: multiplierOf(scale / taps, shift) },
    };
  const each = Int32Array.from({ length: taps }, (_, i) => multiplierOf(scale / (i + 1), shift));
  return {
    ...common,
    ...zero,
    code: code.averagePool,
    flags: flag.excludePad,
    shift,
    multipliers: constants.place(bytesOf(each), false),
    window: fields,
  };
}

/** A mean over rows is an average pool over an image of one line. */
function meanFields(rows: View, body: Extract<Body, { kind: 'mean' }>): RecordFields {
  const scale = body.x.scale / body.y.scale / rows.rows;
  const shift = provenShift('mean', scale, rows.rows * 255);
  return {
    code: code.averagePool,
    ...clamps(body),
    shift,
    zeroIn: body.x.zeroPoint,
    zeroOut: body.y.zeroPoint,
    inStride: rows.rowStride,
    outStride: rows.width,
    window: {
      inHeight: 1,
      inWidth: rows.rows,
      inChannels: rows.width,
      outHeight: 1,
      outWidth: 1,
      outChannels: rows.width,
      kernel: [1, rows.rows],
      stride: [1, 1],
      dilation: [1, 1],
      padTop: 0,
      padLeft: 0,
      multiplier: multiplierOf(scale, shift),
    },
  };
}

/** Results of a cell before they are bytes: an LSTM's output in steps of 2^-22 of its peak, states in steps of 2^-23. */
function cellFields(name: string, body: CellBody, { constants }: EncodeContext): RecordFields {
  const state = body.statePeak * 2 ** -23;
  const output = (body.kind === 'lstmCell' ? body.outputPeak * 2 ** -22 : state) / body.y.scale;
  const cell = body.cell && state / body.cell.scale;
  const shift = Math.max(provenShift(name, output, 2 ** 23), cell ? provenShift(name, cell, 2 ** 23) : 0);
  return {
    code: code[body.kind],
    shift,
    low: -128,
    high: 127,
    zeroOut: body.y.zeroPoint,
    ...(body.cell && { zeroIn1: body.cell.zeroPoint }),
    outStride: body.stateOffset,
    weights: constants.place(bytesOf(body.curves), false),
    rows: {
      rows: 1,
      n: body.units,
      ...(body.kind === 'gruCell' && { k: body.gates }),
      multiplier: multiplierOf(output, shift),
      ...(cell && { multiplier1: multiplierOf(cell, shift) }),
      offset: body.productShift + 32 * body.argumentShift,
    },
  };
}

function secondOperand(
  { operator: { body }, readSteps, constantStep }: Task,
  second: View | undefined,
  { constants, offsetOf }: EncodeContext,
): Pick<RecordFields, 'in1' | 'in1Stride' | 'in1Step'> {
  if (second)
    return {
      in1: reference('arena', offsetOf(second.storage) + second.offset),
      in1Stride: second.rowStride,
      in1Step: readSteps[1] ?? 0,
    };
  const constant = body.kind === 'add' || body.kind === 'mul' ? body.constant : undefined;
  if (!constant) throw new HildaError('INTERNAL', 'an addition has no second operand');
  return {
    in1: constants.place(bytesOf(constant.data), false),
    in1Stride: constant.rowStride,
    in1Step: constantStep,
  };
}

function binaryFields(
  name: string,
  body: Extract<Body, { kind: 'add' | 'mul' }>,
  rows: number,
  n: number,
): RecordFields {
  const zeros = { zeroIn: body.a.zeroPoint, zeroIn1: body.b.zeroPoint, zeroOut: body.y.zeroPoint };
  if (body.kind === 'mul') {
    const scale = (body.a.scale * body.b.scale) / body.y.scale;
    const shift = provenShift(name, scale, 255 * 255);
    return {
      code: code.multiply,
      ...clamps(body),
      ...zeros,
      shift,
      rows: { rows, n, multiplier: multiplierOf(scale, shift) },
    };
  }
  const sign = body.negative ? -1 : 1;
  for (let shift = 30; shift >= 0; shift--) {
    const multiplier = Math.round((body.a.scale / body.y.scale) * 2 ** shift);
    const multiplier1 = sign * Math.round((body.b.scale / body.y.scale) * 2 ** shift);
    const half = shift === 0 ? 0 : 2 ** (shift - 1);
    const offset =
      body.y.zeroPoint * 2 ** shift + half - body.a.zeroPoint * multiplier - body.b.zeroPoint * multiplier1;
    // Every partial sum, in any order, of the largest operands must fit.
    const bound = 128 * (Math.abs(multiplier) + Math.abs(multiplier1)) + Math.abs(offset);
    if (bound < 2 ** 31)
      return {
        code: code.add,
        ...clamps(body),
        ...zeros,
        shift,
        rows: { rows, n, multiplier, multiplier1, offset },
      };
  }
  throw new HildaError('QUANTISATION_FAILED', `${name}: its operands are too large for its output`, {
    details: { name, scales: [body.a.scale, body.b.scale, body.y.scale] },
  });
}
