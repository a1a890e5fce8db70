/** Periods, in points, of the waves that a slow season is made of. */
const periods: readonly number[] = [400, 170, 110];

/** Columns of the season in a row of the design. */
export const seasonColumns = 2 * periods.length;

/**
 * Level and season in a row of the design: 1, then cosine and sine of each period. With independent normal coefficients the
 * season is a stationary Gaussian process (Rasmussen and Williams, 2006, "Gaussian Processes for Machine Learning", chapter 4),
 * so that the origin of `position` does not matter. Slow waves have more variance: in proportion to their period.
 */
export function seasonRow(position: number): Float64Array {
  const row = new Float64Array(1 + seasonColumns);
  row[0] = 1;
  periods.forEach((period, i) => {
    const angle = (2 * Math.PI * position) / period;
    const deviation = Math.sqrt(period / 200);
    row[1 + 2 * i] = deviation * Math.cos(angle);
    row[2 + 2 * i] = deviation * Math.sin(angle);
  });
  return row;
}

/** A whole row: behind the season one column for each step, which is 1 from the step's position on. */
export function designRow(season: Float64Array, position: number, steps: readonly number[]): Float64Array {
  if (steps.length === 0) return season;
  const row = new Float64Array(season.length + steps.length);
  row.set(season);
  steps.forEach((step, i) => {
    row[season.length + i] = position >= step ? 1 : 0;
  });
  return row;
}
