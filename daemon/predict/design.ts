import type { Features } from './contract.js';

/** Rows of one length, row major. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

/**
 * The columns of a set of samples: every feature that varies between them, columns that are equal in all samples once.
 * What is alike in all samples belongs to a model's constant.
 */
export class Design {
  readonly names: readonly string[];
  /** Features of the samples without a column of their own: constant, or a copy of an earlier column. */
  readonly merged: ReadonlySet<string>;
  readonly #places: ReadonlyMap<string, number>;

  constructor(names: readonly string[], merged: readonly string[]) {
    this.names = names;
    this.merged = new Set(merged);
    this.#places = new Map(names.map((name, j) => [name, j]));
  }

  static of(samples: readonly Features[]): Design {
    const columns = new Map<string, Float64Array>();
    samples.forEach((features, i) => {
      for (const [name, value] of features) {
        let column = columns.get(name);
        if (!column) {
          column = new Float64Array(samples.length);
          columns.set(name, column);
        }
        column[i] = value;
      }
    });
    const names: string[] = [];
    const merged: string[] = [];
    const seen = new Set<string>();
    for (const [name, column] of columns) {
      const text = column.join();
      const varies = column.some((value) => value !== column[0]);
      if (!varies || seen.has(text)) merged.push(name);
      else names.push(name);
      seen.add(text);
    }
    return new Design(names, merged);
  }

  matrix(samples: readonly Features[]): Matrix {
    const columns = this.names.length;
    const data = new Float64Array(samples.length * columns);
    samples.forEach((features, i) => {
      for (const [name, value] of features) {
        const j = this.#places.get(name);
        if (j !== undefined) data[i * columns + j] = value;
      }
    });
    return { rows: samples.length, columns, data };
  }

  /** Share of a sample's features that no sample of the fit had. */
  unseenShare(features: Features): number {
    let unseen = 0;
    for (const name of features.keys()) if (!this.#places.has(name) && !this.merged.has(name)) unseen++;
    return unseen / Math.max(1, features.size);
  }
}

export function rowsOf({ columns, data }: Matrix, indices: readonly number[]): Matrix {
  const out = new Float64Array(indices.length * columns);
  indices.forEach((row, i) => {
    out.set(data.subarray(row * columns, (row + 1) * columns), i * columns);
  });
  return { rows: indices.length, columns, data: out };
}
