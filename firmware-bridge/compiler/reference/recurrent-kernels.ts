import { flag } from '../layout/format.js';
import { curveEntries } from '../quantise/curves.js';
import { type Call, clamp16, load16, load32, requantised, scaled, store16, store32 } from './call.js';

/** A function of a 16-bit value: the straight line between the two entries around it. */
function along(curves: Int16Array, table: number, value: number): number {
  const at = table * curveEntries + ((value + 32768) >> 8);
  const [from, to] = [curves[at] as number, curves[at + 1] as number];
  return from + (((to - from) * (value & 255) + 128) >> 8);
}

/** A 32-bit value times one of 16 bits in steps of 2^-15. */
const share = (part: number, value: number): number =>
  2 * part * (value >> 16) + ((part * (value & 0xffff)) >> 15);

/** The state of a step; `added` and `kept` come with the opposite sign. */
const nextState = (added: number, bent: number, kept: number, state: number, productShift: number): number =>
  -(((added * bent) >> productShift) + share(kept, state)) | 0;

/** One step of the elements of an LSTM: gates i, o, f, c to the output, and the cell state behind it. */
export function lstmCell({ record, arena, inMemory, constants: { curves }, ...call }: Call): void {
  const { n, multiplier, multiplier1, offset } = record.rows;
  const state = call.out + record.outStride;
  const whole = { ...record, zeroOut: record.zeroIn1, low: -128, high: 127 };
  for (let i = 0; i < n; i++) {
    const gate = (at: number): number => along(curves, at, load16(inMemory, call.in + 2 * (at * n + i)));
    const cell = nextState(gate(0), gate(3), gate(2), load32(arena, state + 4 * i), offset & 31);
    const twice = cell >> (offset >> 5);
    const bent = along(curves, 4, clamp16((twice >> 1) + (twice & 1)));
    arena[call.out + i] = requantised((gate(1) * bent + 128) >> 8, multiplier, record);
    store32(arena, state + 4 * i, cell);
    if (multiplier1 !== 0) arena[state + 4 * n + i] = requantised(cell >> 8, multiplier1, whole);
  }
}

/** One step of the elements of a GRU: gates z, n, or z, r and both parts of n, to the output and the state behind it. */
export function gruCell({ record, arena, inMemory, constants: { curves }, ...call }: Call): void {
  const { n, k, multiplier, offset } = record.rows;
  const state = call.out + record.outStride;
  for (let i = 0; i < n; i++) {
    const gate = (at: number): number => load16(inMemory, call.in + 2 * (at * n + i));
    const argument =
      k === 4
        ? clamp16((gate(2) + ((along(curves, 3, gate(1)) * gate(3) + 16384) >> 15)) << (offset >> 5))
        : gate(1);
    const [kept, added] = [along(curves, 0, gate(0)), along(curves, 1, gate(0))];
    const before = load32(arena, state + 4 * i);
    const next = nextState(added, along(curves, 2, argument), kept, before, offset & 31);
    arena[call.out + i] = requantised(next >> 8, multiplier, record);
    store32(arena, state + 4 * i, next);
  }
}

/** LINEAR with 16-bit outputs. */
export function wideLinear({ record, arena, inMemory, constants, ...call }: Call): void {
  const { k, n } = record.rows;
  const { weights, bias, multipliers } = constants;
  for (let row = 0; row < call.rows; row++) {
    const from = call.in + row * record.inStride;
    const to = call.out + row * record.outStride;
    for (let j = 0; j < n; j++) {
      let sum = bias[j] as number;
      for (let i = 0; i < k; i++)
        sum = (sum + Math.imul(inMemory[from + i] as number, weights[j * k + i] as number)) | 0;
      store16(arena, to + 2 * j, scaled(sum, multipliers[j] as number, record));
    }
  }
}

/** MULTIPLY with 16-bit outputs. */
export function wideMultiply({ record, arena, inMemory, in1Memory, ...call }: Call): void {
  const { n, multiplier } = record.rows;
  for (let row = 0; row < call.rows; row++)
    for (let i = 0; i < n; i++) {
      const a = (inMemory[call.in + row * record.inStride + i] as number) - record.zeroIn;
      const b = (in1Memory[call.in1 + row * record.in1Stride + i] as number) - record.zeroIn1;
      store16(arena, call.out + row * record.outStride + 2 * i, scaled(a * b, multiplier, record));
    }
}

/** Where the largest or the least channel of each row stands, as an int32. */
export function argMax({ record, arena, inMemory, ...call }: Call): void {
  const { n } = record.rows;
  const flip = record.flags & flag.least ? -1 : 0;
  const ahead = record.flags & flag.last ? 0 : 1;
  for (let row = 0; row < call.rows; row++) {
    const from = call.in + row * record.inStride;
    let [best, place] = [(inMemory[from] as number) ^ flip, 0];
    for (let i = 1; i < n; i++) {
      const value = (inMemory[from + i] as number) ^ flip;
      if (value >= best + ahead) [best, place] = [value, i];
    }
    const to = call.out + row * record.outStride;
    store32(arena, to, place);
  }
}
