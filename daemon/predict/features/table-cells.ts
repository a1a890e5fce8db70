import { HildaError } from '../../core/errors.js';
import type { Column, ColumnKind } from './column-views.js';

/** A row of a table as a person counts them: the line of the file it ends on, its header being line 1. */
export interface TableRow {
  readonly line: number;
  readonly cells: Readonly<Record<string, string>>;
}

export interface LeftOut {
  readonly line: number;
  readonly column: string;
}

/** What people and programs write for a value that is not there. */
const missing = /^(|-|\?|na|n\/a|nan|null|none)$/i;
const isMissing = (cell: string): boolean => missing.test(cell.trim());

/** Separators of thousands that can be nothing else: several groups, or a decimal point behind. */
const grouped = /^[-+]?\d{1,3}((,\d{3})+\.\d+|(,\d{3}){2,})$/;

/** A number as tables hold it; undefined for anything else, 1,234 among it: a thousand to some, 1.234 to others. */
export function numberOfCell(cell: string): number | undefined {
  const text = cell.trim();
  if (isMissing(text)) return undefined;
  const value = Number(grouped.test(text) ? text.replaceAll(',', '') : text);
  return Number.isFinite(value) ? value : undefined;
}

/** A column of which this share is numbers is one of numbers, and what else stands in it is a mistake. */
const mostlyNumbers = 0.8;

/** The lines that hold a value for each of the columns, and those that do not, with the first column that lacks one. */
export function completeRows(
  rows: readonly TableRow[],
  columns: readonly string[],
): { readonly rows: readonly TableRow[]; readonly leftOut: readonly LeftOut[] } {
  const leftOut: LeftOut[] = [];
  const complete = rows.filter(({ line, cells }) => {
    const column = columns.find((name) => isMissing(cells[name] ?? ''));
    if (column !== undefined) leftOut.push({ line, column });
    return column === undefined;
  });
  if (2 * leftOut.length > rows.length)
    throw new HildaError(
      'SAMPLES_INVALID',
      `${leftOut.length} of ${rows.length} rows lack a value: ${leftOutText(leftOut)}`,
      { hint: 'Leave out the column that is mostly empty, or fill it.' },
    );
  return { rows: complete, leftOut };
}

/** The first of the rows that were left out, in words. */
export const leftOutText = (rows: readonly LeftOut[]): string =>
  rows
    .slice(0, 3)
    .map(({ line, column }) => `${column} is empty in line ${line}`)
    .join(', ') + (rows.length > 3 ? ', …' : '');

/**
 * The cells of a column with its kind: as given, or told by the cells. Numbers are written plainly.
 * Throws SAMPLES_INVALID for a cell that is no number in a column of numbers, with its line.
 */
export function columnOf(name: string, rows: readonly TableRow[], given?: ColumnKind): Column {
  const cells = rows.map(({ cells }) => cells[name] ?? '');
  const numbers = cells.map(numberOfCell);
  const count = numbers.filter((value) => value !== undefined).length;
  const kind = given ?? guess(cells, count);
  if (kind !== 'number') return { name, cells, kind };
  const wrong = numbers.indexOf(undefined);
  if (wrong >= 0)
    throw new HildaError(
      'SAMPLES_INVALID',
      `${name} is ${JSON.stringify(cells[wrong])} in line ${rows[wrong]?.line}, which is no number`,
      {
        hint: given
          ? 'Correct the cell, or name the column as NAME:choice.'
          : `${count} of ${cells.length} cells are numbers: correct the cell, or name the column as ${name}:choice.`,
      },
    );
  return { name, cells: numbers.map(String), kind };
}

/** A leading zero marks a string of digits: no quantity is written so. */
function guess(cells: readonly string[], numbers: number): ColumnKind {
  const equallyLong = cells.every((cell) => cell.length === cells[0]?.length && cell.length > 2);
  if (equallyLong && cells.every((cell) => /^\d+$/.test(cell)) && cells.some((cell) => cell.startsWith('0')))
    return 'digits';
  return numbers >= mostlyNumbers * cells.length ? 'number' : 'choice';
}

/** The costs of a table. Throws SAMPLES_INVALID with the first cells that are no positive number, and their lines. */
export function costsOfRows(name: string, rows: readonly TableRow[]): number[] {
  const values = rows.map(({ cells }) => numberOfCell(cells[name] ?? ''));
  const bad = rows.filter((_, i) => !((values[i] ?? 0) > 0));
  if (bad.length === 0) return values as number[];
  const shown = bad.slice(0, 3).map(({ line, cells }) => `${JSON.stringify(cells[name])} in line ${line}`);
  throw new HildaError(
    'SAMPLES_INVALID',
    `${bad.length} of ${rows.length} costs (${name}) are no positive numbers: ${shown.join(', ')}`,
    {
      hint: 'Write numbers without separators of thousands, with a point before decimals; correct or leave out these rows.',
      details: { lines: bad.map(({ line }) => line) },
    },
  );
}

/** Neighbours in order of size this far apart are not of one unit. */
const unitGap = 30;

/**
 * Where the costs fall into two groups with a wide gap between, as those in two units do: how far the groups' medians are
 * apart, and the lines of the smaller group. Undefined where they do not.
 */
export function mixedUnits(
  values: readonly number[],
  lines: readonly number[],
): { readonly factor: number; readonly lines: readonly number[] } | undefined {
  const order = values.map((_, i) => i).sort((i, j) => (values[i] as number) - (values[j] as number));
  const at = (place: number): number => values[order[place] as number] as number;
  let cut = 0;
  for (let i = 1; i < order.length; i++)
    if (at(i) / at(i - 1) >= unitGap && (cut === 0 || at(i) / at(i - 1) > at(cut) / at(cut - 1))) cut = i;
  if (cut === 0) return undefined;
  const [low, high] = [order.slice(0, cut), order.slice(cut)];
  const middle = (group: readonly number[]): number => values[group[group.length >> 1] as number] as number;
  const fewer = low.length < high.length ? low : high;
  return {
    factor: middle(high) / middle(low),
    lines: fewer.map((i) => lines[i] as number).sort((a, b) => a - b),
  };
}
