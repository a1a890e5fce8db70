/**
 * Quantiles of Student's t (Hill, 1970, "Algorithm 396"), which also take a fractional number of degrees of freedom, as
 * Welch and Satterthwaite's formula gives.
 */

/** The t that |T| exceeds with probability `tail`. Right to four digits from 1 degree of freedom on; infinity is the normal. */
export function studentTwoSided(tail: number, freedom: number): number {
  if (!(tail > 0 && tail < 1) || !(freedom >= 1)) throw new RangeError('tail in (0, 1), freedom 1 or more');
  if (freedom === 1) return 1 / Math.tan((tail * Math.PI) / 2);
  if (freedom === 2) return Math.sqrt(2 / (tail * (2 - tail)) - 2);
  if (freedom > 1e6) return normalTwoSided(tail);
  const a = 1 / (freedom - 0.5);
  const b = 48 / a ** 2;
  let c = ((20700 * a) / b - 98) * a - 16 + 96.36;
  const d = ((94.5 / (b + c) - 3) / b + 1) * Math.sqrt((a * Math.PI) / 2) * freedom;
  let x = d * tail;
  let y = x ** (2 / freedom);
  if (y > 0.05 + a) {
    x = -normalTwoSided(tail);
    y = x ** 2;
    if (freedom < 5) c += 0.3 * (freedom - 4.5) * (x + 0.6);
    c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b;
    y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x;
    y = a * y ** 2;
    y = y > 0.002 ? Math.exp(y) - 1 : 0.5 * y ** 2 + y;
  } else {
    y =
      ((1 / (((freedom + 6) / (freedom * y) - 0.089 * d - 0.822) * (freedom + 2) * 3) + 0.5 / (freedom + 4)) *
        y -
        1) *
        ((freedom + 1) / (freedom + 2)) +
      1 / y;
  }
  return Math.sqrt(freedom * y);
}

/** The z that |Z| exceeds with probability `tail`: Acklam's rational approximation, right to nine digits. */
export function normalTwoSided(tail: number): number {
  const p = 1 - tail / 2;
  const [a, b, c, d] = [
    [
      -39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716,
      2.506628277459239,
    ],
    [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572, 1],
    [
      -0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968,
      2.938163982698783,
    ],
    [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1],
  ] as const;
  const polynomial = (coefficients: readonly number[], x: number): number =>
    coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0);
  if (p > 0.97575) {
    const q = Math.sqrt(-2 * Math.log(1 - p));
    return -polynomial(c, q) / polynomial(d, q);
  }
  const q = p - 0.5;
  return (polynomial(a, q * q) * q) / polynomial(b, q * q);
}
