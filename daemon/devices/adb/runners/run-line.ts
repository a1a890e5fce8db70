import { quoted } from '../adb-server.js';
import type { RunnerOutput } from './runner.js';

const resultMark = '--hilda-result';
const clocksMark = '--hilda-clocks';

export interface RunLine {
  readonly folder: string;
  readonly args: readonly string[];
  readonly result: string;
  /** Hexadecimal; null leaves the choice of cores to the phone. */
  readonly mask: string | null;
  /** Reads the clocks as they are at the end of the run; null where nobody asked. */
  readonly clocks: string | null;
}

/**
 * A command line of the phone's shell: the program, then what it wrote to its result file, then the clocks. Its exit status
 * is the program's. Numbers are printed as in C; libraries beside the program are found.
 */
export function runLine({ folder, args, result, mask, clocks }: RunLine): string {
  const program = [
    'LC_ALL=C',
    `LD_LIBRARY_PATH=${quoted(folder)}`,
    ...(mask === null ? [] : ['taskset', mask]),
    ...args.map(quoted),
  ].join(' ');
  return [
    `cd ${quoted(folder)} || exit 126`,
    `rm -f ${quoted(result)}`,
    program,
    'code=$?',
    ...(clocks === null ? [] : [`echo ${clocksMark}`, clocks]),
    `echo ${resultMark}`,
    `[ -f ${quoted(result)} ] && echo yes && cat ${quoted(result)}`,
    'exit $code',
  ].join('; ');
}

/** Takes apart what `runLine` printed. A program that ends in mid-line does not hide the marks. */
export function runOutput({ stdout, stderr }: { readonly stdout: string; readonly stderr: string }): {
  readonly output: RunnerOutput;
  readonly clocks: string;
} {
  const [head = '', tail = null] = parted(stdout, resultMark);
  const [text = '', clocks = ''] = parted(head, clocksMark);
  const [, result = null] = /^\r?\nyes\r?\n([\s\S]*)$/.exec(tail ?? '') ?? [];
  return { output: { stdout: text, stderr, result }, clocks };
}

/** Before and behind the last mark. */
function parted(text: string, mark: string): [string, string?] {
  const at = text.lastIndexOf(mark);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + mark.length)];
}
