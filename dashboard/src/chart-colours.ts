/** The page's colours, as the chart needs them: a canvas knows no custom properties. */
export function chartColours(): { text: string; line: string; faint: string; accent: string } {
  const style = getComputedStyle(document.documentElement);
  const of = (name: string): string => style.getPropertyValue(name).trim();
  return { text: of('--text'), line: of('--line'), faint: of('--faint'), accent: of('--accent') };
}
