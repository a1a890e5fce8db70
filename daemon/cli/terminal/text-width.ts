let unicodeWidth: ((text: string) => number) | undefined;

/** Loads what tells the width of text beyond ASCII. A help text needs none of it. */
export async function loadWidths(): Promise<void> {
  unicodeWidth ??= (await import('string-width')).default;
}

/** Halfwidth katakana marks: one column each in terminals, part of their letter for `string-width`. */
const soundMarks = /[\uff9e\uff9f]/g;

/** Columns that a text takes: two for wide East Asian characters and emoji, none for combining marks. See `loadWidths`. */
export const textWidth = (text: string): number =>
  /^[\x20-\x7e]*$/.test(text) || !unicodeWidth ? text.length : unicodeWidth(text.replace(soundMarks, '-'));

/** Pads on the right, or on the left, to `width` columns. */
export function padTo(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const space = ' '.repeat(Math.max(0, width - textWidth(text)));
  return align === 'right' ? space + text : text + space;
}

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** The beginning of a text that fits into `width` columns; `…` stands for the rest. */
export function cutTo(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  let cut = '';
  for (const { segment } of graphemes.segment(text)) {
    if (textWidth(cut + segment) > width - 1) break;
    cut += segment;
  }
  return width < 1 ? '' : `${cut}…`;
}

/** Lines of at most `width` columns, broken at spaces. A word that is longer keeps its line: ids are copied whole. */
export function wrapTo(text: string, width: number): string[] {
  if (textWidth(text) <= width) return [text];
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== undefined && textWidth(`${line} ${word}`) <= width)
      lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** Columns of the longest part that is not broken. */
export const longestWord = (text: string): number => Math.max(...text.split(' ').map(textWidth));
