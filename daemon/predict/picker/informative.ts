import { invertDefinite } from '../linear-algebra.js';

/** A direction of a view that no sample shows is uncertain by 100 variances of the noise, not infinitely. */
const viewPrecision = 1e-2;

/** What is known of the places to choose among and of the samples, one row each, in one view. */
export interface Rows {
  readonly samples: readonly Float64Array[];
  readonly places: readonly Float64Array[];
}

/**
 * Which places to measure so that predictions of all of them gain most (I-optimal design, chosen greedily: Cohn,
 * Ghahramani and Jordan 1996, equation 15, for a Bayesian linear model, Chaloner and Verdinelli 1995, section 2):
 * measuring x lowers the mean variance by x'G^-1 M G^-1 x / (1 + x'G^-1 x), with M the places' second moment and G the
 * samples' information and the prior's. G learns of each choice before the next, so that a batch does not ask the same
 * thing twice.
 *
 * Costs are linear in `view`, about which nothing is known before, plus a remainder linear in `remainder`, in total as
 * large as the noise. Without the remainder a view of few columns would have the same few extremes measured again and
 * again; with it alone the samples go into telling apart what the view knows to be equal. All rows in units of the noise.
 */
export function mostInformative(view: Rows, remainder: Rows | undefined, n: number): number[] {
  const joined = (key: keyof Rows): readonly Float64Array[] =>
    remainder
      ? view[key].map((row, i) => Float64Array.from([...row, ...(remainder[key][i] as Float64Array)]))
      : view[key];
  const [samples, places] = [joined('samples'), joined('places')];
  const p = places[0]?.length ?? 0;
  const viewColumns = view.places[0]?.length ?? 0;
  // Columns have mean square 1 over the places: p of them with precision p have one variance of the noise in total.
  const scale = scales(places, p);
  const scaled = (row: Float64Array): Float64Array => row.map((value, j) => value * (scale[j] as number));
  const asked = places.map(scaled);
  const information = secondMoment(samples.map(scaled), p, 1);
  for (let j = 0; j < p; j++)
    information[j * p + j] =
      (information[j * p + j] as number) + (j < viewColumns ? viewPrecision : p - viewColumns);
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

/** One over the root of each column's mean square; 1 where that is 0. */
function scales(rows: readonly Float64Array[], p: number): Float64Array {
  const squares = new Float64Array(p);
  for (const row of rows)
    for (let j = 0; j < p; j++) squares[j] = (squares[j] as number) + (row[j] as number) ** 2;
  return squares.map((sum) => 1 / (Math.sqrt(sum / rows.length) || 1));
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
