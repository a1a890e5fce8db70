/**
 * A figure and its limit, as text with equally many decimals: as many as it takes to show on which side the figure is, so that
 * a message says what was decided. Equal numbers read the same.
 */
export function besideLimit(
  figure: number,
  limit: number,
  {
    decimals,
    write,
  }: { readonly decimals: number; readonly write: (value: number, decimals: number) => string },
): { readonly figure: string; readonly limit: string } {
  const side = Math.sign(figure - limit);
  for (let digits = decimals; ; digits++) {
    const texts = { figure: write(figure, digits), limit: write(limit, digits) };
    const shown = Math.sign(Number.parseFloat(texts.figure) - Number.parseFloat(texts.limit));
    if (shown === side || Number.isNaN(side) || digits === mostDecimals) return texts;
  }
}

/** Beyond it two numbers differ by what floating point makes of them. */
const mostDecimals = 12;

/** Shares as percent, e.g. `2.04 %` beside `2.00 %`. */
export const shareBesideLimit = (share: number, limit: number, decimals = 1) =>
  besideLimit(share, limit, { decimals, write: (value, digits) => `${(value * 100).toFixed(digits)} %` });
