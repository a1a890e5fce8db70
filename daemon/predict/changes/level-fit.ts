import { invertDefinite, logDeterminant, solveDefinite } from '../linear-algebra.js';
import { seasonColumns } from './season.js';
import { expectedSlope, freedom, slopeOf, weightOf } from './student.js';

/** What is fitted: rows of the design, logarithms of the values, relative scales of their noise. */
export interface LevelData {
  readonly rows: readonly Float64Array[];
  readonly values: Float64Array;
  /** Scale of each value's noise over the common scale. */
  readonly relative: Float64Array;
  /** Weight of each point in the common scale: newer points say more of a noise that changes. */
  readonly recency: Float64Array;
}

export interface LevelFit {
  readonly coefficients: Float64Array;
  /** Scale of the noise now: of Student's t with four degrees of freedom, on the logarithmic scale. */
  readonly scale: number;
  /** Covariance of the coefficients, row major. */
  readonly covariance: Float64Array;
  /** Variance of a mean of n values over `scale^2 / n`, as the residuals show it. */
  readonly inflation: number;
  /** Logarithm of the marginal likelihood (Laplace), less a constant. */
  readonly evidence: number;
}

/** Iteration ends where coefficients and scale move by less than this share of the scale. */
const tolerance = 0.02;

/** Points so many scales off belong to episodes or are outliers: together they would pull at the season. */
const farOff = 6;

/** Values that count beside the observed ones where moments of the score are estimated. */
const priorPoints = 10;

/**
 * Fits level, season and steps by maximum a posteriori under Student's t noise: iteratively reweighted least squares. The season's
 * coefficients have a normal prior of `seasonality` times the noise's scale, all others are free. The covariance is the sandwich
 * estimate (Huber, 1981), so that it holds for noise of other families.
 */
export function fitLevel(
  { rows, values, relative, recency }: LevelData,
  seasonality: number,
  floor: number,
  start: { readonly coefficients: Float64Array; readonly scale: number },
): LevelFit {
  const n = values.length;
  const width = (rows[0] as Float64Array).length;
  let coefficients: Float64Array = start.coefficients.slice(0, width);
  let scale = Math.max(floor, start.scale);
  const residuals = new Float64Array(n);
  const matrix = new Float64Array(width * width);
  const right = new Float64Array(width);
  const precision = 1 / (seasonality * seasonality);
  const residualsOf = (): void => {
    for (let i = 0; i < n; i++) {
      const row = rows[i] as Float64Array;
      let at = values[i] as number;
      for (let j = 0; j < width; j++) at -= (row[j] as number) * (coefficients[j] as number);
      residuals[i] = at / (relative[i] as number);
    }
  };
  const weights = new Float64Array(n);
  /** Sums `weights x x'` into the matrix and `weights x y` into the right side; adds the prior to the season's diagonal. */
  const gather = (prior: number): void => {
    matrix.fill(0);
    right.fill(0);
    for (let i = 0; i < n; i++) {
      const row = rows[i] as Float64Array;
      const w = (weights[i] as number) / ((relative[i] as number) * (relative[i] as number));
      const wy = w * (values[i] as number);
      for (let a = 0; a < width; a++) {
        const x = row[a] as number;
        if (x === 0) continue;
        right[a]! += wy * x;
        const wx = w * x;
        const at = a * width;
        for (let b = 0; b <= a; b++) matrix[at + b]! += wx * (row[b] as number);
      }
    }
    for (let a = 0; a < width; a++) {
      for (let b = 0; b < a; b++) matrix[b * width + a] = matrix[a * width + b] as number;
      matrix[a * width + a]! += a >= 1 && a <= seasonColumns ? prior : 1e-9;
    }
  };
  residualsOf();
  for (let turn = 0; turn < 12; turn++) {
    let squares = 0;
    let count = 0;
    for (let i = 0; i < n; i++) {
      const r = (residuals[i] as number) / scale;
      squares += (recency[i] as number) * weightOf(r) * r * r;
      count += recency[i] as number;
    }
    const grown = Math.sqrt(squares / count);
    scale = Math.max(floor, scale * grown);
    for (let i = 0; i < n; i++) {
      const r = (residuals[i] as number) / scale;
      weights[i] = Math.abs(r) > farOff ? 0 : weightOf(r);
    }
    gather(precision);
    const solved = solveDefinite(matrix, right);
    if (!solved) break;
    let moved = 0;
    for (let j = 0; j < width; j++)
      moved = Math.max(moved, Math.abs((solved[j] as number) - (coefficients[j] as number)));
    coefficients = solved;
    residualsOf();
    if (moved < tolerance * scale && Math.abs(grown - 1) < tolerance) break;
  }
  let [slope, square, likelihood] = [priorPoints * expectedSlope, priorPoints * expectedSlope, 0];
  for (let i = 0; i < n; i++) {
    const r = (residuals[i] as number) / scale;
    slope += slopeOf(r);
    square += (weightOf(r) * r) ** 2;
    likelihood += (-(freedom + 1) / 2) * Math.log1p((r * r) / freedom) - Math.log(scale);
  }
  slope /= n + priorPoints;
  square /= n + priorPoints;
  weights.fill(slope);
  gather(precision);
  const logDet = logDeterminant(matrix, width) ?? 0;
  const inverse = invertDefinite(matrix, width) ?? new Float64Array(width * width);
  // What the fit itself takes out of the residuals: the trace of its hat matrix.
  let taken = width;
  for (let j = 1; j <= seasonColumns; j++) taken -= precision * (inverse[j * width + j] as number);
  const now = scale * Math.sqrt(n / Math.max(n / 3, n - taken));
  weights.fill(square);
  gather(precision);
  const covariance = sandwich(inverse, matrix, width, now * now);
  let seasonSquares = 0;
  for (let j = 1; j <= seasonColumns; j++) seasonSquares += (coefficients[j] as number) ** 2;
  return {
    coefficients,
    scale: now,
    covariance,
    inflation: square / (slope * slope),
    evidence:
      likelihood -
      (precision * seasonSquares) / (2 * scale * scale) -
      logDet / 2 -
      seasonColumns * Math.log(seasonality),
  };
}

/** `factor * inverse * middle * inverse`. */
function sandwich(inverse: Float64Array, middle: Float64Array, width: number, factor: number): Float64Array {
  const half = product(inverse, middle, width);
  const out = product(half, inverse, width);
  for (let i = 0; i < out.length; i++) out[i]! *= factor;
  return out;
}

function product(a: Float64Array, b: Float64Array, width: number): Float64Array {
  const out = new Float64Array(width * width);
  for (let i = 0; i < width; i++)
    for (let k = 0; k < width; k++) {
      const v = a[i * width + k] as number;
      for (let j = 0; j < width; j++) out[i * width + j]! += v * (b[k * width + j] as number);
    }
  return out;
}
