import { type Architecture, architectureId } from '../core/architecture.js';
import { HildaError } from '../core/errors.js';
import type { Evaluator, Quality } from './contract.js';

/** Answers from a table of known results; provenance `imported`. Architectures it lacks are ARCHITECTURE_INVALID. */
export class TableEvaluator implements Evaluator {
  readonly cost = 'free';
  readonly metrics: readonly string[];
  readonly #rows: ReadonlyMap<string, Readonly<Record<string, number>>>;
  readonly #spaceId: string;
  readonly #source: string;

  constructor(
    spaceId: string,
    rows: Iterable<readonly [Architecture, Readonly<Record<string, number>>]>,
    source: string,
  ) {
    this.#spaceId = spaceId;
    this.#source = source;
    this.#rows = new Map(
      [...rows].map(([architecture, values]) => [architectureId(spaceId, architecture), values]),
    );
    this.metrics = Object.keys(this.#rows.values().next().value ?? {});
  }

  async evaluate(architecture: Architecture): Promise<Quality> {
    const values = this.#rows.get(architectureId(this.#spaceId, architecture));
    if (!values)
      throw new HildaError('ARCHITECTURE_INVALID', `the table of ${this.#source} has no such architecture`);
    const source = `imported: ${this.#source}`;
    return { values, source };
  }

  async close(): Promise<void> {}
}
