import { printableLine } from '../../core/printable.js';
import { formatFields } from './fields.js';
import { type Layout, painted, plainLayout, type Tone } from './layout.js';
import { longestWord, padTo, textWidth, wrapTo } from './text-width.js';

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly align?: 'left' | 'right';
  readonly tone?: (text: string) => Tone | undefined;
}

/** Columns stand this far apart. */
const gap = 2;

/**
 * A text table: a header, columns two spaces apart, numbers to the right. Where it is wider than the terminal, titles and
 * texts are wrapped at spaces, then numbers too; where even words do not fit, each row becomes a list of fields. Nothing is
 * cut: ids are there to be copied.
 */
export function formatTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  layout: Layout = plainLayout,
): string {
  const titles = columns.map(({ title }) => title);
  const cells = rows.map((row) => columns.map(({ value }) => printableLine(value(row))));
  const isText = columns.map(({ align }) => align !== 'right');
  const widths =
    fittingWidths(titles, cells, layout.columns, isText) ??
    fittingWidths(titles, cells, layout.columns, isText.fill(true));
  if (!widths) return asFields(columns, cells, layout);
  const lineOf = (texts: readonly string[], toneOf: (i: number) => Tone | undefined): string[] => {
    const wrapped = texts.map((text, i) => wrapTo(text, widths[i] as number));
    const height = Math.max(...wrapped.map(({ length }) => length));
    return Array.from({ length: height }, (_, at) =>
      wrapped
        .map((lines, i) => {
          const padded = padTo(lines[at] ?? '', widths[i] as number, columns[i]?.align);
          // The last column needs no padding; paint must not hide the end of the line from `trimEnd`.
          const last = i === columns.length - 1;
          return painted(last ? padded.trimEnd() : padded, toneOf(i), layout);
        })
        .join(' '.repeat(gap))
        .trimEnd(),
    );
  };
  return [
    ...lineOf(titles, () => 'title'),
    ...cells.flatMap((texts) => lineOf(texts, (i) => columns[i]?.tone?.(texts[i] as string))),
  ].join('\n');
}

/** Widths that fit; undefined where the longest words alone do not. Titles always wrap, cells where `wraps` says so. */
function fittingWidths(
  titles: readonly string[],
  cells: readonly (readonly string[])[],
  room: number | null,
  wraps: readonly boolean[],
): number[] | undefined {
  const natural = titles.map((title, i) =>
    Math.max(textWidth(title), ...cells.map((texts) => textWidth(texts[i] as string))),
  );
  if (room === null) return natural;
  const least = titles.map((title, i) => {
    const widthOf = wraps[i] ? longestWord : textWidth;
    return Math.max(longestWord(title), ...cells.map((texts) => widthOf(texts[i] as string)));
  });
  const forText = room - gap * (titles.length - 1);
  const sum = (widths: readonly number[]): number => widths.reduce((a, b) => a + b, 0);
  if (sum(least) > forText) return undefined;
  // The widest columns give way first, all to one width.
  for (let most = Math.max(...natural); ; most--) {
    const widths = natural.map((width, i) => Math.max(least[i] as number, Math.min(width, most)));
    if (sum(widths) <= forText) return widths;
  }
}

const asFields = <Row>(
  columns: readonly Column<Row>[],
  cells: readonly (readonly string[])[],
  layout: Layout,
): string =>
  cells
    .map((texts) =>
      formatFields(
        columns.map(({ title, tone }, i) => [title, texts[i] as string, tone?.(texts[i] as string)] as const),
        layout,
      ),
    )
    .join('\n\n');
