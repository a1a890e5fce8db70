import { HildaError } from '../../core/errors.js';

interface Fault {
  readonly row: number;
  readonly why: string;
}

const shown = 3;
const most = 100;

/** What is wrong with one file, gathered, so that a person corrects all of it at once. */
export class Faults {
  readonly #file: string;
  readonly #found: Fault[] = [];

  constructor(file: string) {
    this.#file = file;
  }

  /** Answers with undefined: the value that the row lacks. */
  add(row: number, why: string): undefined {
    this.#found.push({ row, why });
  }

  get any(): boolean {
    return this.#found.length > 0;
  }

  /** Throws TABLE_INVALID with the first faults, and the rows of all. */
  check(): void {
    if (!this.any) return;
    const words = this.#found.slice(0, shown).map(({ row, why }) => `row ${row}: ${why}`);
    const more = this.#found.length - words.length;
    throw new HildaError(
      'TABLE_INVALID',
      `${this.#file}, ${words.join('; ')}${more > 0 ? `; and ${more} more` : ''}`,
      {
        hint: 'Correct the rows named in the message: the header is row 1. docs/benchmarks.md shows what is read.',
        details: { file: this.#file, rows: [...new Set(this.#found.map(({ row }) => row))].slice(0, most) },
      },
    );
  }
}
