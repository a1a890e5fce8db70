/** Control characters but tab and line feed, and the marks that turn the direction of text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
const unprintable = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Text whose names, from other people's files and devices, cannot move a terminal's cursor: `\u001b` stands for ESC. */
export const printable = (text: string): string =>
  text.replace(unprintable, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** The same in one line. */
export const printableLine = (text: string): string =>
  printable(text).replaceAll('\t', '\\t').replaceAll('\n', '\\n');
