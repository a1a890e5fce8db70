/** Values of a curve's table: -8 to 8 in steps of 1/16. */
export const curveEntries = 257;

/** Functions that recurrent layers bend with, all between -1 and 1, by their names in lower case (ONNX, LSTM). */
const functions: ReadonlyMap<string, (x: number) => number> = new Map([
  ['sigmoid', (x) => 1 / (1 + Math.exp(-x))],
  ['tanh', Math.tanh],
  ['hardsigmoid', (x) => Math.min(1, Math.max(0, 0.2 * x + 0.5))],
  ['softsign', (x) => x / (1 + Math.abs(x))],
]);

export const curveOf = (name: string): ((x: number) => number) | undefined =>
  functions.get(name.toLowerCase());

/** Tables of a cell, one behind the other: the function at every sixteenth from -8 to 8, in steps of 2^-15. */
export function curveTables(curves: readonly ((x: number) => number)[]): Int16Array {
  return Int16Array.from({ length: curves.length * curveEntries }, (_, i) => {
    const f = curves[Math.floor(i / curveEntries)] as (x: number) => number;
    return Math.min(32767, Math.round(32768 * f((i % curveEntries) / 16 - 8)));
  });
}
