import type { Rng } from '../../daemon/core/rng.js';
import { code, flag, reference, type WeightLayout } from '../../firmware-bridge/compiler/layout/format.js';
import { curveEntries } from '../../firmware-bridge/compiler/quantise/curves.js';
import * as exact from './arithmetic.js';
import type { Generator } from './operator-cases.js';
import { CaseBuilder, type ProgramCase, strided } from './program-case.js';
import {
  between,
  bytes,
  chance,
  matrixFields,
  pick,
  quantFields,
  randomLayer,
  randomQuant,
  rowsOf,
} from './random-layer.js';

/** Operators with 16-bit values, cells of recurrent layers and a layer as a LOOP over its steps; ARG_MAX. */
const arena = (at: number): number => reference('arena', at);

/** 16-bit values as the bytes that memory holds. */
const halves = (values: readonly number[]): Int8Array => new Int8Array(Int16Array.from(values).buffer);

const words = (rng: Rng, count: number): number[] =>
  Array.from({ length: count }, () =>
    pick(rng, [between(rng, -32768, 32767), between(rng, -3000, 3000), -32768, 32767, 0]),
  );

/** Of the shapes that sigmoid and tanh have, or anything at all. */
function curve(rng: Rng, low: number): Int16Array {
  const slope = 0.5 + rng.next();
  const shaped = (i: number): number =>
    (low < 0 ? Math.tanh : (x: number) => 0.5 + 0.5 * Math.tanh(x / 2))(slope * (i / 16 - 8));
  return Int16Array.from({ length: curveEntries }, (_, i) =>
    chance(rng, 0.02) ? between(rng, low, 32767) : Math.min(32767, Math.round(32768 * shaped(i))),
  );
}

/** 32-bit values as the bytes that memory holds. */
const whole32 = (values: readonly number[]): Int8Array => new Int8Array(Int32Array.from(values).buffer);

const states = (rng: Rng, count: number): number[] =>
  Array.from({ length: count }, () =>
    pick(rng, [
      between(rng, -(2 ** 31), 2 ** 31 - 1),
      between(rng, -(2 ** 24), 2 ** 24),
      -(2 ** 31),
      2 ** 31 - 1,
      0,
    ]),
  );

/** Curves of a cell: those of shares with the opposite sign. */
const drawCurves = (rng: Rng, signs: readonly (-1 | 0 | 1)[]): Int16Array[] =>
  signs.map((sign) =>
    sign < 0 ? curve(rng, 0).map((v) => (v > 32700 ? -32768 : -v)) : curve(rng, sign > 0 ? 0 : -32768),
  );

const lstmSigns = [-1, 1, -1, 0, 0] as const;
const gruSigns = [-1, -1, 0, 1] as const;

const joined = (arrays: readonly Int16Array[]): Int16Array => Int16Array.from(arrays.flatMap((a) => [...a]));

function put(builder: CaseBuilder, rng: Rng, values: Int8Array): number {
  const at = builder.reserve(values.length, 4, pick(rng, [0, 0, 1, 2, 3]));
  builder.fill(at, values);
  return at;
}

const wideLinear: Generator = (rng, native) => {
  const layout: WeightLayout = chance(rng, 0.2) ? 'rows' : native;
  const k = pick(rng, [between(rng, 1, 40), 16, 64, 512, 516, 1030]);
  const [rows, n] = [between(rng, 1, 3), between(rng, 1, k > 200 ? 9 : 21)];
  const drawn = randomLayer(rng, n, k);
  // Spread over 16 bits, now and then beyond.
  const multipliers = drawn.multipliers.map((m) => Math.min(2 ** 31 - 1, m * pick(rng, [100, 300])));
  const layer = { ...drawn, multipliers };
  const builder = new CaseBuilder();
  const x = rowsOf(rng, rows, k);
  const y = x.map((row) =>
    Array.from({ length: n }, (_, j) => {
      let sum = layer.bias[j] as number;
      for (let i = 0; i < k; i++) sum += (row[i] as number) * (layer.weights[j * k + i] as number);
      return exact.wide(sum, layer.multipliers[j] as number, layer);
    }),
  );
  const outStride = 2 * n + pick(rng, [0, 1, 2, 6]);
  const out = strided(y.map(halves), outStride);
  const at = builder.reserve(out.length, 4, pick(rng, [0, 1, 2]));
  builder.expect(at, out);
  builder.record({
    code: code.linear,
    flags: flag.wide,
    ...matrixFields(builder, layer, layout, false, rows),
    in: arena(put(builder, rng, strided(x, k))),
    inStride: k,
    out: arena(at),
    outStride,
    rows: { rows, k, n, outColumnStride: 1 },
  });
  return builder.build(`wide linear ${layout} ${rows}x${k}x${n}`);
};

const wideMultiply: Generator = (rng) => {
  const [rows, n] = [between(rng, 1, 4), between(rng, 1, 30)];
  const [a, b] = [rowsOf(rng, rows, n), rowsOf(rng, rows, n)];
  const zeros = [between(rng, -128, 127), between(rng, -128, 127)] as const;
  const quant = randomQuant(rng, between(rng, 0, 7));
  const multiplier = between(rng, 1, 2 ** 31 - 1);
  const y = a.map((row, r) =>
    Array.from(row, (v, i) =>
      exact.wide((v - zeros[0]) * ((b[r]?.[i] as number) - zeros[1]), multiplier, quant),
    ),
  );
  const builder = new CaseBuilder();
  const out = strided(y.map(halves), 2 * n);
  const at = builder.reserve(out.length, 4, pick(rng, [0, 1]));
  builder.expect(at, out);
  builder.record({
    code: code.multiply,
    flags: flag.wide,
    ...quantFields(quant),
    zeroIn: zeros[0],
    zeroIn1: zeros[1],
    in: arena(put(builder, rng, strided(a, n))),
    inStride: n,
    in1: arena(put(builder, rng, strided(b, n))),
    in1Stride: n,
    out: arena(at),
    outStride: 2 * n,
    rows: { rows, n, multiplier },
  });
  return builder.build(`wide multiply ${rows}x${n}`);
};

const argMax: Generator = (rng) => {
  const [rows, n] = [between(rng, 1, 5), pick(rng, [1, between(rng, 2, 12), 300])];
  // Few values, so that many are equal.
  const x = Array.from({ length: rows }, () => bytes(rng, n, -128, pick(rng, [-126, 127])));
  const [least, last] = [chance(rng, 0.5), chance(rng, 0.5)];
  const y = x.map((row) => {
    const best = least ? Math.min(...row) : Math.max(...row);
    return last ? row.lastIndexOf(best) : row.indexOf(best);
  });
  const builder = new CaseBuilder();
  const outStride = 4 + pick(rng, [0, 1, 4]);
  const out = strided(
    y.map((place) => new Int8Array(Int32Array.of(place).buffer)),
    outStride,
  );
  const at = builder.reserve(out.length, 4, pick(rng, [0, 1, 2, 3]));
  builder.expect(at, out);
  builder.record({
    code: code.argMax,
    flags: (least ? flag.least : 0) | (last ? flag.last : 0),
    in: arena(put(builder, rng, strided(x, n))),
    inStride: n,
    out: arena(at),
    outStride,
    rows: { rows, n },
  });
  return builder.build(`arg max ${rows}x${n}${least ? ' least' : ''}${last ? ' last' : ''}`);
};

/** What a cell finds where it writes: rubbish in its output, a state behind it. */
function stateAt(builder: CaseBuilder, rng: Rng, n: number, state: readonly number[], room: number) {
  const outStride = n + between(rng, 0, 5);
  const filled = new Int8Array(outStride + 4 * n + room).fill(0x5a);
  filled.set(whole32(state), outStride);
  return { outStride, filled, at: put(builder, rng, filled) };
}

const offsetOf = (shifts: { readonly productShift: number; readonly argumentShift: number }): number =>
  shifts.productShift + 32 * shifts.argumentShift;

const lstmCell: Generator = (rng) => {
  const n = between(rng, 1, 20);
  const curves = drawCurves(rng, lstmSigns);
  const [gates, cells] = [words(rng, 4 * n), states(rng, n)];
  const shifts = { productShift: pick(rng, [0, 4, 31]), argumentShift: pick(rng, [0, 13, 15, 31]) };
  const quant = randomQuant(rng, between(rng, 0, 3));
  const multiplier = between(rng, 2 ** 14, 2 ** 20);
  const multiplier1 = chance(rng, 0.5) ? between(rng, 2 ** 14, 2 ** 20) : 0;
  const zeroIn1 = between(rng, -128, 127);
  const builder = new CaseBuilder();
  const { outStride, filled, at } = stateAt(builder, rng, n, cells, multiplier1 === 0 ? 0 : n);
  const next = cells.map((cell, i) =>
    exact.lstmCell(
      [0, 1, 2, 3].map((g) => gates[g * n + i]) as [number, number, number, number],
      cell,
      curves,
      shifts,
    ),
  );
  const wanted = filled.slice();
  wanted.set(next.map(({ output }) => exact.requantise(output, multiplier, quant)));
  wanted.set(whole32(next.map(({ cell }) => cell)), outStride);
  const whole = { zeroOut: zeroIn1, low: -128, high: 127, shift: quant.shift };
  if (multiplier1 !== 0)
    wanted.set(
      next.map(({ cell }) => exact.requantise(cell >> 8, multiplier1, whole)),
      outStride + 4 * n,
    );
  builder.expect(at, wanted);
  builder.record({
    code: code.lstmCell,
    ...quantFields(quant),
    zeroIn1,
    in: arena(put(builder, rng, halves(gates))),
    out: arena(at),
    outStride,
    weights: builder.constant(joined(curves)),
    rows: { rows: 1, n, multiplier, multiplier1, offset: offsetOf(shifts) },
  });
  return builder.build(`lstm cell ${n}${multiplier1 ? ' with its state' : ''}`);
};

const gruCell: Generator = (rng) => {
  const [n, k] = [between(rng, 1, 20), pick(rng, [2, 4])];
  const curves = drawCurves(rng, gruSigns.slice(0, k === 4 ? 4 : 3));
  const [gates, before] = [words(rng, k * n), states(rng, n)];
  const shifts = { productShift: pick(rng, [0, 1, 31]), argumentShift: pick(rng, [0, 1, 15]) };
  const quant = randomQuant(rng, between(rng, 0, 3));
  const multiplier = between(rng, 2 ** 14, 2 ** 20);
  const builder = new CaseBuilder();
  const { outStride, filled, at } = stateAt(builder, rng, n, before, 0);
  const next = before.map((state, i) =>
    exact.gruCell(
      Array.from({ length: k }, (_, g) => gates[g * n + i] as number),
      state,
      curves,
      shifts,
    ),
  );
  const wanted = filled.slice();
  wanted.set(next.map((state) => exact.requantise(state >> 8, multiplier, quant)));
  wanted.set(whole32(next), outStride);
  builder.expect(at, wanted);
  builder.record({
    code: code.gruCell,
    ...quantFields(quant),
    in: arena(put(builder, rng, halves(gates))),
    out: arena(at),
    outStride,
    weights: builder.constant(joined(curves)),
    rows: { rows: 1, k, n, multiplier, offset: offsetOf(shifts) },
  });
  return builder.build(`gru cell ${n} of ${k} gates`);
};

/** An LSTM over several steps, forwards or backwards: COPY, LINEAR, LSTM_CELL and COPY in a LOOP, its state between them. */
const recurrentLayer: Generator = (rng, native): ProgramCase => {
  const [steps, inputs, n] = [between(rng, 1, 6), between(rng, 1, 9), between(rng, 1, 10)];
  const drawn = randomLayer(rng, 4 * n, inputs + n);
  const layer = { ...drawn, multipliers: drawn.multipliers.map((m) => Math.min(2 ** 31 - 1, m * 60)) };
  const curves = drawCurves(rng, lstmSigns);
  const shifts = { productShift: 3, argumentShift: 14 };
  const backwards = chance(rng, 0.5);
  const multiplier = 2 ** 17;
  const quant = { zeroOut: 0, low: -128, high: 127, shift: 0 };
  const builder = new CaseBuilder();
  const x = rowsOf(rng, steps, inputs);
  const source = put(builder, rng, strided(x, inputs));
  // Input, output and cell state lie one behind the other.
  let [h, c] = [bytes(rng, n), states(rng, n)];
  const first = new Int8Array(inputs + 5 * n);
  first.set(h, inputs);
  first.set(whole32(c), inputs + n);
  const state = put(builder, rng, first);
  const y: Int8Array[] = [];
  for (let step = 0; step < steps; step++) {
    const at = backwards ? steps - 1 - step : step;
    const row = [...(x[at] as Int8Array), ...h];
    const gates = Array.from({ length: 4 * n }, (_, j) => {
      let sum = layer.bias[j] as number;
      for (let i = 0; i < inputs + n; i++)
        sum += (row[i] as number) * (layer.weights[j * (inputs + n) + i] as number);
      return exact.wide(sum, layer.multipliers[j] as number, layer);
    });
    const next = c.map((cell, i) =>
      exact.lstmCell(
        [0, 1, 2, 3].map((g) => gates[g * n + i]) as [number, number, number, number],
        cell,
        curves,
        shifts,
      ),
    );
    c = next.map(({ cell }) => cell);
    h = Int8Array.from(next, ({ output }) => exact.requantise(output, multiplier, quant));
    y[at] = h;
  }
  const out = strided(y, n);
  const outAt = builder.reserve(out.length, 4);
  builder.expect(outAt, out);
  const gatesAt = builder.reserve(8 * n, 4);
  const sign = backwards ? -1 : 1;
  const end = backwards ? steps - 1 : 0;
  builder.record({ code: code.loop, count: 4, rows: { rows: steps } });
  builder.record({
    code: code.copy,
    in: arena(source + end * inputs),
    inStride: inputs,
    inStep: sign * inputs,
    out: arena(state),
    outStride: inputs,
    rows: { rows: 1, n: inputs },
  });
  builder.record({
    code: code.linear,
    flags: flag.wide,
    ...matrixFields(builder, layer, native, false, 1),
    in: arena(state),
    inStride: inputs + n,
    out: arena(gatesAt),
    outStride: 8 * n,
    rows: { rows: 1, k: inputs + n, n: 4 * n, outColumnStride: 1 },
  });
  builder.record({
    code: code.lstmCell,
    ...quantFields(quant),
    in: arena(gatesAt),
    out: arena(state + inputs),
    outStride: n,
    weights: builder.constant(joined(curves)),
    rows: { rows: 1, n, multiplier, offset: offsetOf(shifts) },
  });
  builder.record({
    code: code.copy,
    in: arena(state + inputs),
    inStride: n,
    out: arena(outAt + end * n),
    outStride: n,
    outStep: sign * n,
    rows: { rows: 1, n },
  });
  return builder.build(`recurrent layer ${steps}x${inputs}x${n}${backwards ? ' backwards' : ''}`);
};

export const recurrentCases: Readonly<Record<string, Generator>> = {
  wideLinear,
  wideMultiply,
  argMax,
  lstmCell,
  gruCell,
  recurrentLayer,
};
