import type { Faults } from './faults.js';

const plain = /^\+?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** A number above 0 as tables and logs hold it; anything else is a fault of its row, separators of thousands among it. */
export function positiveOf(cell: string, what: string, row: number, faults: Faults): number | undefined {
  const text = cell.trim();
  const quoted = JSON.stringify(text.slice(0, 60));
  if (text === '') return faults.add(row, `${what} is empty`);
  if (/^[-+]?\d[\d.,' \u00a0\u202f]*[,' \u00a0\u202f][\d.,]+$/.test(text))
    return faults.add(
      row,
      `${what} is ${quoted}: write it without separators of thousands, with a point before decimals`,
    );
  const value = plain.test(text) ? Number(text) : Number.NaN;
  if (Number.isFinite(value) && value > 0) return value;
  const isNumber = plain.test(text) || /^[-+]?(nan|inf|infinity|[\d.]+(e[+-]?\d+)?)$/i.test(text);
  return faults.add(
    row,
    `${what} is ${quoted}, which is ${isNumber ? 'not above 0 and finite' : 'no number'}`,
  );
}

/** A share of 1, or of 100 where `percent` is set. */
export function shareOf(
  cell: string,
  what: string,
  percent: boolean,
  row: number,
  faults: Faults,
): number | undefined {
  const text = cell.trim();
  const whole = percent ? 100 : 1;
  const value = plain.test(text) ? Number(text) : Number.NaN;
  if (value >= 0 && value <= whole) return value / whole;
  return faults.add(
    row,
    `${what} is ${JSON.stringify(text.slice(0, 60))}, which is no number from 0 to ${whole}`,
  );
}

/** Microjoules in a unit of energy, by its lower-case name. */
export const microjoulesIn: ReadonlyMap<string, number> = new Map([
  ['nj', 1e-3],
  ['uj', 1],
  ['μj', 1],
  ['mj', 1e3],
  ['j', 1e6],
]);
