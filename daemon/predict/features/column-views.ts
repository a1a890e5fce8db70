import type { Views } from '../contract.js';

/**
 * How a table's column describes a network. `number`: a quantity. `choice`: one of few, one-hot. `digits`: a string with one
 * decision a character, as architecture strings are.
 */
export type ColumnKind = 'number' | 'choice' | 'digits';

export interface Column {
  readonly name: string;
  readonly cells: readonly string[];
  readonly kind: ColumnKind;
}

/** A numeric column with at most so many different values is tried as a choice too. */
const fewValues = 12;

/**
 * Numbers as they stand; decisions one-hot, with small numbers among them; how often each symbol stands in a string, or in
 * columns that choose from one vocabulary (a layer a column, as in FBNet's tables).
 */
export function columnViews(columns: readonly Column[]): Views[] {
  const rows = columns[0]?.cells.length ?? 0;
  const numbers = Array.from({ length: rows }, () => new Map<string, number>());
  const choices = Array.from({ length: rows }, () => new Map<string, number>());
  const pool = vocabularies(columns);
  columns.forEach(({ name, cells, kind }) => {
    const few = new Set(cells).size <= fewValues;
    cells.forEach((cell, row) => {
      const [number, choice] = [numbers[row], choices[row]] as [Map<string, number>, Map<string, number>];
      switch (kind) {
        case 'number': {
          const value = Number(cell);
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
        case 'choice': {
          choice.set(`${name}=${cell}`, 1);
          const pooled = pool.get(name);
          const key = pooled === undefined ? `${name}=${cell}` : `${pooled} ${cell}`;
          number.set(key, (number.get(key) ?? 0) + 1);
        }
      }
    });
  });
  return numbers.map((number, row) => ({ numbers: number, choices: choices[row] as Map<string, number> }));
}

/** Fewer columns of one vocabulary are decisions of their own. */
const leastPooled = 3;

/** By column of choices: the first column of those that choose from one vocabulary with it, where there are several. */
function vocabularies(columns: readonly Column[]): ReadonlyMap<string, string> {
  const groups: { readonly names: string[]; readonly words: Set<string> }[] = [];
  for (const { name, cells, kind } of columns) {
    if (kind !== 'choice') continue;
    const words = new Set(cells);
    const shared = groups.find((group) => {
      const common = [...words].filter((word) => group.words.has(word)).length;
      return 2 * common > Math.min(words.size, group.words.size);
    });
    if (!shared) groups.push({ names: [name], words });
    else {
      shared.names.push(name);
      for (const word of words) shared.words.add(word);
    }
  }
  return new Map(
    groups
      .filter(({ names }) => names.length >= leastPooled)
      .flatMap(({ names }) => names.map((name): [string, string] => [name, names[0] as string])),
  );
}
