import { type Matrix, rowsOf } from '../design.js';
import { BoostedTrees } from '../models/boosted-trees.js';
import { GaussianProcess } from '../models/gaussian-process.js';
import { medianOf } from '../statistics.js';
import { at, type Candidate, foldsOf, type Known, othersOf } from './candidate.js';
import { all, type TableCandidate } from './table-candidates.js';
import type { ViewData } from './view-data.js';

/** Fewer samples than this give trees nothing to split. */
const treeSamples = 80;

/** From so many samples on, one sample bends a table so little that its closed leave-one-out residuals will do. */
const closedFormSamples = 150;

/** The logarithms themselves, without a table beneath. */
export function gaussianCandidate(view: ViewData, { logY, weights }: Known): Candidate[] {
  const process = view.x.columns === 0 ? undefined : GaussianProcess.fit(view.x, logY, { weights });
  if (!process) return [];
  return [
    {
      label: `gaussian(${view.name})`,
      views: [view.name],
      held: logY.map((value, i) => value - (process.residuals[i] as number)),
      build: () => ({ predictLog: (places) => process.predict(places.get(view.name) as Matrix) }),
    },
  ];
}

/** A Gaussian process on what a table leaves over, on a view of its own. */
export function gaussianOn(base: TableCandidate, view: ViewData, { logY, weights }: Known): Candidate[] {
  if (view.x.columns === 0) return [];
  const n = logY.length;
  const z = remainder(logY, base.fitTo(all(n)), all(n));
  const process = GaussianProcess.fit(view.x, z, { weights });
  if (!process) return [];
  const held =
    n >= closedFormSamples
      ? z.map((value, i) => value - (process.residuals[i] as number) + (base.held[i] as number))
      : heldOut(base, logY, (z, rows, fold) =>
          GaussianProcess.fit(rowsOf(view.x, rows), z, {
            covariance: process.covariance,
            weights: at(weights, rows),
          })?.predict(rowsOf(view.x, fold)),
        );
  return [stacked(base, view, `gaussian(${view.name})`, held, (x) => process.predict(x))];
}

/** Boosted trees on what a table leaves over. */
export function treesOn(base: TableCandidate, view: ViewData, { logY, weights }: Known): Candidate[] {
  const n = logY.length;
  if (n < treeSamples || view.x.columns === 0) return [];
  const held = heldOut(base, logY, (z, rows, fold) =>
    BoostedTrees.fit(rowsOf(view.x, rows), z, at(weights, rows)).predict(rowsOf(view.x, fold)),
  );
  let trees: BoostedTrees | undefined;
  return [
    stacked(base, view, `trees(${view.name})`, held, (x) => {
      trees ??= BoostedTrees.fit(view.x, remainder(logY, base.fitTo(all(n)), all(n)), weights);
      return trees.predict(x);
    }),
  ];
}

function stacked(
  base: TableCandidate,
  view: ViewData,
  name: string,
  held: Float64Array,
  predict: (x: Matrix) => Float64Array,
): Candidate {
  return {
    label: `${base.label} x ${name}`,
    views: [base.view.name, view.name],
    held,
    build: () => {
      const table = base.build();
      return {
        predictLog: (places) => {
          const curve = predict(places.get(view.name) as Matrix);
          return table.predictLog(places).map((value, i) => value + (curve[i] as number));
        },
      };
    },
  };
}

/**
 * Held-out predictions of table and curve together, both fitted to the same rows: a curve on residuals that a table had
 * computed from all samples would know the one held out by what it did to the others.
 */
function heldOut(
  base: TableCandidate,
  logY: Float64Array,
  fitAndPredict: (
    z: Float64Array,
    rows: readonly number[],
    fold: readonly number[],
  ) => Float64Array | undefined,
): Float64Array {
  const n = logY.length;
  const held = new Float64Array(n);
  for (const fold of foldsOf(n)) {
    const rows = othersOf(fold, n);
    const table = base.fitTo(rows);
    const curve = fitAndPredict(remainder(logY, table, rows), rows, fold);
    fold.forEach((row, k) => {
      held[row] = (table[row] as number) + (curve?.[k] ?? 0);
    });
  }
  return held;
}

/** What is left over, outliers drawn in to three standard deviations: one slow regime must not bend a curve. */
function remainder(logY: Float64Array, table: Float64Array, rows: readonly number[]): Float64Array {
  const z = Float64Array.from(rows, (row) => (logY[row] as number) - (table[row] as number));
  const centre = medianOf(z);
  const reach = 3 * 1.4826 * medianOf(z.map((value) => Math.abs(value - centre)));
  return z.map((value) => Math.min(centre + reach, Math.max(centre - reach, value)));
}
