/** A place where a C file is not formatted as the others. */
export interface Slip {
  readonly line: number;
  readonly rule: string;
}

/** Code is wrapped at 125. Longer lines stay as they are: a changed line of the firmware makes every image anew. */
const mostColumns = 140;

/**
 * Holds C source to the form of this tree, without a formatter's opinion on where lines break: width, white space, where braces
 * and keywords stand, and the indentation of each statement by the braces that are open.
 */
export function checkFormat(source: string): Slip[] {
  const slips: Slip[] = [];
  const text = withoutContents(source).split('\n');
  if (source !== '' && !/[^\n]\n$/.test(source))
    slips.push({ line: text.length, rule: 'one line feed at the end' });
  let depth = 0;
  let continues = false;
  /** Between `#ifdef __cplusplus` and its end: the braces there are in two places. */
  let isForCpp = false;
  let isInMacro = false;
  for (const [i, original] of source.split('\n').entries()) {
    const code = text[i] as string;
    const add = (rule: string): void => void slips.push({ line: i + 1, rule });
    if ([...original].length > mostColumns) add(`at most ${mostColumns} columns`);
    if (/\t/.test(original)) add('no tabs');
    if (/[ \r]$/.test(original)) add('no white space at the end');
    if (/\b(if|for|while|switch)\(/.test(code)) add('a space after a keyword');
    if (/\b(if|for|while|switch|return|else|do)\s{2,}\S/.test(code)) add('one space after a keyword');
    // Those of functions stand in the first column.
    if (/^\s+\{\s*$/.test(code)) add('a brace ends the line that it belongs to');
    if (/^\s*else\b/.test(code) && /\}\s*$/.test(before(text, i))) add('else follows its brace');
    if (/^\s*(?:if|for|while|switch)\b.*\)\{\s*$|\b(?:else|do)\{/.test(code)) add('a space before a brace');
    if (/\b(?:char|int|float|double|void|\w+_t)\s*\*\s+\w/.test(code)) add('a star stands at its name');
    const trimmed = code.trim();
    if (/^#\s*ifdef __cplusplus/.test(trimmed)) isForCpp = true;
    else if (/^#\s*endif/.test(trimmed)) isForCpp = false;
    const wasInMacro = isInMacro;
    isInMacro = trimmed.endsWith('\\');
    if (trimmed === '' || trimmed.startsWith('#') || isForCpp || wasInMacro) continue;
    const closes = /^[}\])]+/.exec(trimmed)?.[0].replace(/[^}]/g, '').length ?? 0;
    const indent = code.length - code.trimStart().length;
    const isLabel = /^(case\b.*|default|\w+)\s*:(?!:)/.test(trimmed) && !/\?/.test(trimmed);
    const wanted = 2 * Math.max(0, depth - closes);
    if (!continues && !isLabel && indent < wanted) add(`indentation of ${wanted}`);
    if (!continues && !isLabel && indent % 2 === 1) add('indentation by two');
    depth += count(code, '{') - count(code, '}');
    continues = !/[;{}:]\s*$/.test(code) || /[,(]\s*$/.test(code);
  }
  if (depth !== 0) slips.push({ line: text.length, rule: 'braces in pairs' });
  return slips;
}

const count = (text: string, sign: string): number => text.split(sign).length - 1;

/** The line of code before. */
const before = (text: readonly string[], i: number): string => {
  for (let k = i - 1; k >= 0; k--) if ((text[k] as string).trim() !== '') return text[k] as string;
  return '';
};

/** The code with its comments, strings and characters blanked, at their width. */
const withoutContents = (source: string): string =>
  source.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'/g, (found) =>
    found.replace(/[^\n]/g, /^["']/.test(found) ? '0' : ' '),
  );
