import { invertDefinite } from '../linear-algebra.js';

/** Keeps a direction that no sample shows from having infinite variance. */
const ridge = 1e-2;

/**
 * Which of `places` to measure so that predictions of all of them gain most (I-optimal design, chosen greedily: Cohn,
 * Ghahramani and Jordan 1996, equation 15, for a linear model): measuring x lowers the mean variance by
 * x'G^-1 M G^-1 x / (1 + x'G^-1 x), with M the places' second moment and G the samples' information. G learns of each
 * choice before the next, so that a batch does not ask the same thing twice.
 */
export function mostInformative(
  samples: readonly Float64Array[],
  places: readonly Float64Array[],
  n: number,
): number[] {
  const p = places[0]?.length ?? 0;
  const scale = new Float64Array(p);
  for (const row of places)
    for (let j = 0; j < p; j++) scale[j] = (scale[j] as number) + (row[j] as number) ** 2;
  for (let j = 0; j < p; j++) scale[j] = 1 / (Math.sqrt((scale[j] as number) / places.length) || 1);
  const scaled = (row: Float64Array): Float64Array => row.map((value, j) => value * (scale[j] as number));
  const known = samples.map(scaled);
  const asked = places.map(scaled);
  const information = secondMoment(known, p, 1);
  for (let j = 0; j < p; j++) information[j * p + j] = (information[j * p + j] as number) + ridge;
  let inverse = invertDefinite(information, p);
  const moment = secondMoment(asked, p, 1 / asked.length);
  const chosen: number[] = [];
  const taken = new Set<number>();
  while (inverse && chosen.length < Math.min(n, places.length)) {
    // x'G^-1 M G^-1 x as a form of its own, so that each candidate costs p^2.
    const form = product(product(inverse, moment, p), inverse, p);
    let best: { index: number; gain: number } | undefined;
    for (let i = 0; i < asked.length; i++) {
      if (taken.has(i)) continue;
      const row = asked[i] as Float64Array;
      const gain = quadratic(form, row) / (1 + quadratic(inverse, row));
      if (!best || gain > best.gain) best = { index: i, gain };
    }
    if (!best) break;
    chosen.push(best.index);
    taken.add(best.index);
    inverse = withSample(inverse, asked[best.index] as Float64Array);
  }
  return chosen;
}

/** Sherman and Morrison's update of an inverse for one more row. */
function withSample(inverse: Float64Array, row: Float64Array): Float64Array {
  const p = row.length;
  const image = new Float64Array(p);
  for (let j = 0; j < p; j++)
    for (let k = 0; k < p; k++)
      image[j] = (image[j] as number) + (inverse[j * p + k] as number) * (row[k] as number);
  const factor = 1 / (1 + row.reduce((sum, value, j) => sum + value * (image[j] as number), 0));
  return inverse.map(
    (value, at) => value - factor * (image[Math.floor(at / p)] as number) * (image[at % p] as number),
  );
}

function secondMoment(rows: readonly Float64Array[], p: number, factor: number): Float64Array {
  const out = new Float64Array(p * p);
  for (const row of rows)
    for (let j = 0; j < p; j++)
      if (row[j] !== 0)
        for (let k = 0; k < p; k++)
          out[j * p + k] = (out[j * p + k] as number) + factor * (row[j] as number) * (row[k] as number);
  return out;
}

function product(a: Float64Array, b: Float64Array, p: number): Float64Array {
  const out = new Float64Array(p * p);
  for (let i = 0; i < p; i++)
    for (let k = 0; k < p; k++) {
      const value = a[i * p + k] as number;
      for (let j = 0; j < p; j++)
        out[i * p + j] = (out[i * p + j] as number) + value * (b[k * p + j] as number);
    }
  return out;
}

function quadratic(form: Float64Array, row: Float64Array): number {
  const p = row.length;
  let sum = 0;
  for (let j = 0; j < p; j++) {
    if (row[j] === 0) continue;
    let inner = 0;
    for (let k = 0; k < p; k++) inner += (form[j * p + k] as number) * (row[k] as number);
    sum += (row[j] as number) * inner;
  }
  return sum;
}
