import { type Matrix, rowsOf } from '../design.js';
import { fitTable, type Table, type TableOptions, tablePredictions } from '../models/table-fit.js';
import { type Candidate, foldsOf, type Known, lossOf, othersOf } from './candidate.js';
import type { ViewData } from './view-data.js';

const penalties = [1e-3, 1e-2, 1e-1];
/** A view of more columns than this costs too much to try in every way: it gets one penalty, and few folds. */
const wideColumns = 60;

export interface TableCandidate extends Candidate {
  readonly options: TableOptions;
  readonly view: ViewData;
  /** The logarithms it predicts for every sample when fitted to those `rows` alone. */
  fitTo(rows: readonly number[]): Float64Array;
}

/** Tables on one view: the best penalty under squares, and the same under the robust loss. */
export function tableCandidates(view: ViewData, known: Known): TableCandidate[] {
  const { y, weights } = known;
  const floor = 0.01 * Math.min(...y);
  const wide = view.x.columns > wideColumns;
  const make = (rest: Omit<TableOptions, 'weights'>): TableCandidate => {
    const options = { ...rest, weights };
    return {
      label: `table(${view.name}, ${options.loss})`,
      views: [view.name],
      held: heldOut(view, y, options, floor, wide ? 5 : undefined),
      options,
      view,
      fitTo: (rows) => logs(fitTable(view.x, y, rows, options), view.x, floor),
      build: () => {
        const table = fitTable(view.x, y, all(y.length), options);
        return { predictLog: (places) => logs(table, places.get(view.name) as Matrix, floor) };
      },
    };
  };
  if (wide) return [make({ penalty: 1e-2, shares: view.shares, loss: 'squares', maxSweeps: 60 })];
  const squares = penalties
    .map((penalty) => make({ penalty, shares: view.shares, loss: 'squares' }))
    .reduce((a, b) => (lossOf(b.held, known) < lossOf(a.held, known) ? b : a));
  return [squares, make({ ...squares.options, loss: 'robust' })];
}

export const all = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

function heldOut(
  view: ViewData,
  y: Float64Array,
  options: TableOptions,
  floor: number,
  folds: number | undefined,
): Float64Array {
  const held = new Float64Array(y.length);
  for (const fold of foldsOf(y.length, folds)) {
    const table = fitTable(view.x, y, othersOf(fold, y.length), options);
    const predicted = logs(table, rowsOf(view.x, fold), floor);
    fold.forEach((row, k) => {
      held[row] = predicted[k] as number;
    });
  }
  return held;
}

/** A cost of 0 has no logarithm: nothing is predicted below a hundredth of the least cost measured. */
const logs = (table: Table, x: Matrix, floor: number): Float64Array =>
  tablePredictions(table, x).map((value) => Math.log(Math.max(value, floor)));
