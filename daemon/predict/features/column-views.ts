import { HildaError } from '../../core/errors.js';
import type { Views } from '../contract.js';

/**
 * How a table's column describes a network. `number`: a quantity. `choice`: one of few, one-hot. `digits`: a string with one
 * decision a character, as architecture strings are.
 */
export type ColumnKind = 'number' | 'choice' | 'digits';

export interface Column {
  readonly name: string;
  readonly cells: readonly string[];
  /** Left out: told by the cells. */
  readonly kind?: ColumnKind;
}

/** A numeric column with at most so many different values is tried as a choice too. */
const fewValues = 12;

/** Numbers as they stand; decisions one-hot, with small numbers among them; how often each symbol stands in a string. */
export function columnViews(columns: readonly Column[]): Views[] {
  const rows = columns[0]?.cells.length ?? 0;
  const kinds = columns.map((column) => column.kind ?? kindOf(column));
  const numbers = Array.from({ length: rows }, () => new Map<string, number>());
  const choices = Array.from({ length: rows }, () => new Map<string, number>());
  columns.forEach(({ name, cells }, c) => {
    const few = new Set(cells).size <= fewValues;
    cells.forEach((cell, row) => {
      const [number, choice] = [numbers[row], choices[row]] as [Map<string, number>, Map<string, number>];
      switch (kinds[c]) {
        case 'number': {
          const value = Number(cell);
          if (cell.trim() === '' || !Number.isFinite(value)) {
            throw new HildaError(
              'SAMPLES_INVALID',
              `${name} is ${JSON.stringify(cell)} in row ${row}, not a number`,
              {
                hint: 'Name the column as NAME:choice if it is one of few.',
              },
            );
          }
          number.set(name, value);
          if (few) choice.set(`${name}=${cell}`, 1);
          else choice.set(name, value);
          break;
        }
        case 'digits':
          [...cell].forEach((symbol, place) => {
            choice.set(`${name}[${place}]=${symbol}`, 1);
            const key = `${name} ${symbol}`;
            number.set(key, (number.get(key) ?? 0) + 1);
          });
          break;
        default:
          number.set(`${name}=${cell}`, 1);
          choice.set(`${name}=${cell}`, 1);
      }
    });
  });
  return numbers.map((number, row) => ({ numbers: number, choices: choices[row] as Map<string, number> }));
}

/** A leading zero marks a string of digits: no quantity is written so. */
function kindOf({ cells }: Column): ColumnKind {
  const numeric = cells.every((cell) => cell.trim() !== '' && Number.isFinite(Number(cell)));
  const equallyLong = cells.every((cell) => cell.length === cells[0]?.length && cell.length > 2);
  if (equallyLong && cells.every((cell) => /^\d+$/.test(cell)) && cells.some((cell) => cell.startsWith('0')))
    return 'digits';
  return numeric ? 'number' : 'choice';
}
