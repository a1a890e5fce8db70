import type { Features } from '../contract.js';
import { Design, type Matrix } from '../design.js';

/** One way of describing architectures, over the samples of a fit. */
export interface ViewData {
  readonly name: string;
  readonly design: Design;
  readonly x: Matrix;
  /** Penalty share of each column. */
  readonly shares: Float64Array;
}

/** Totals carry the prediction where an operator was hardly ever measured (the roofline's terms, Williams et al. 2009). */
const totals = new Set(['macs', 'bytesMoved']);
/** The view that holds them. */
export const transferView = 'transfer';
/** Columns that start so are another target's predictions. */
export const likePrefix = 'like ';
const lightShare = 0.05;

export function viewData(name: string, samples: readonly Features[]): ViewData {
  const design = Design.of(samples);
  return {
    name,
    design,
    x: design.matrix(samples),
    shares: Float64Array.from(design.names, (column) =>
      totals.has(column) || column.startsWith(likePrefix) ? lightShare : 1,
    ),
  };
}
