import { existsSync, readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';

export interface LineCount {
  /** Lines of the TypeScript source that hold code, and those of them that ran. */
  readonly lines: number;
  readonly ran: number;
  /** Numbers of the lines that did not run, from 1. */
  readonly missed: readonly number[];
}

/** Maps positions of a built file to lines of its source, by its source map. Null without one. */
export function sourceLineOf(builtPath: string): ((line: number, column: number) => number | null) | null {
  const mapPath = `${builtPath}.map`;
  if (!existsSync(mapPath)) return null;
  const map = new SourceMap(JSON.parse(readFileSync(mapPath, 'utf8')));
  return (line, column) => {
    const entry = map.findEntry(line, column);
    return 'originalLine' in entry ? entry.originalLine + 1 : null;
  };
}

/** Counts the source lines behind a built file. A line ran where any code of it ran; `ran` is null for a file never loaded. */
export function countLines(builtPath: string, ran: Uint8Array | null): LineCount {
  const lineOf = sourceLineOf(builtPath);
  const byLine = new Map<number, boolean>();
  let offset = 0;
  const text = readFileSync(builtPath, 'utf8');
  for (const [row, line] of text.split('\n').entries()) {
    for (const match of line.matchAll(/[\w$'"`[({!+-]+/g)) {
      if (line.trimStart().startsWith('//')) break;
      const source = lineOf ? lineOf(row, match.index) : row + 1;
      if (source === null) continue;
      const did = ran !== null && (ran[offset + match.index] ?? 1) === 1;
      byLine.set(source, (byLine.get(source) ?? false) || did);
    }
    offset += line.length + 1;
  }
  const missed = [...byLine].flatMap(([line, did]) => (did ? [] : [line])).sort((a, b) => a - b);
  return { lines: byLine.size, ran: byLine.size - missed.length, missed };
}
