/**
 * Matrices of +1 and -1 that are a function of a seed, so that a board makes them again instead of storing them. The same
 * integers come out of firmware-bridge/firmware/operators/generate.c (ABI.md, GENERATE).
 *
 * Signs, not normal values, since random projections lose nothing by them: coins keep distances within the bounds that
 * normal values do (Achlioptas 2003, Database-friendly random projections, theorem 1.1), and the variance of a squared
 * length is a little smaller. They quantise to -127 and 127 exactly, and cost a board one bit each, where a normal value
 * would need a table and a draw of its own.
 */
const prefix = 'generated.signs.';

/** The name of a constant whose elements are the signs of a seed times one factor; a network may extend it by `.anything`. */
export const signsName = (seed: number): string => `${prefix}${seed}`;

/** The seed that a constant's name states; undefined for others. Whether its elements are those signs is for the reader to verify. */
export function seedOfName(name: string): number | undefined {
  const digits = /^generated\.signs\.(\d{1,10})(?:\.|$)/.exec(name)?.[1];
  const seed = Number(digits);
  return digits !== undefined && seed <= 0xffffffff ? seed : undefined;
}

/**
 * Signs of the outputs `firstOutput` (a multiple of 4) and following as [outputs][depth]. A matrix of fewer outputs is the
 * first part of one with more.
 */
export function generatedSigns(seed: number, outputs: number, depth: number, firstOutput = 0): Int8Array {
  const out = new Int8Array(outputs * depth);
  for (let from = 0; from < outputs; from += 4) {
    let x = streamOf(seed, (firstOutput + from) / 4);
    const rows = Math.min(4, outputs - from);
    for (let i = 0; i < depth; i++) {
      // Eight inputs share a word, four bits an input, one bit an output.
      if (i % 8 === 0) x = next(x);
      const bits = x >>> (4 * (i % 8));
      for (let j = 0; j < rows; j++) out[(from + j) * depth + i] = (bits >>> j) & 1 ? -1 : 1;
    }
  }
  return out;
}

/** xorshift32 (Marsaglia 2003), as in the boards' weight pool. */
function next(x: number): number {
  const a = x ^ (x << 13);
  const b = a ^ (a >>> 17);
  return b ^ (b << 5);
}

/** Where the stream of a block of four outputs begins: splitmix32, as in Xoshiro128.fromSeed; never 0, where it would stand still. */
function streamOf(seed: number, block: number): number {
  let x = (seed + Math.imul(block + 1, 0x9e3779b9)) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  x ^= x >>> 15;
  return x === 0 ? 0x9e3779b9 : x;
}
