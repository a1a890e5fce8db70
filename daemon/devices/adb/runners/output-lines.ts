/** What loggers put in front of a line: Android's logcat, glog and TensorFlow's own, a bare severity. */
const prefixes = [
  /^\d\d-\d\d \d\d:\d\d:\d\d\.\d+\s+\d+\s+\d+ [VDIWEF] [^:]*: /,
  /^[VDIWEF]\/[^(]*\(\s*\d+\): /,
  /^[IWEF]\d{4,8} \d\d:\d\d:\d\d\.\d+\s+\d+ [^\]]+\] /,
  /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]\d+: [VDIWEF] [^\]]+\] /,
  /^(?:INFO|VERBOSE|DEBUG): /,
];
// biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours begin with an escape.
const colours = /\u001b\[[\d;]*m/g;

/**
 * The whole lines of an output, without carriage returns, colours and what loggers put in front. A last line without its end
 * is left out: it may be cut off in mid-number.
 */
export function wholeLines(output: string): string[] {
  const lines = output.split('\n');
  lines.pop();
  return lines.map((line) => {
    const bare = line.replaceAll('\r', '').replace(colours, '');
    const prefix = prefixes.find((pattern) => pattern.test(bare));
    return (prefix ? bare.replace(prefix, '') : bare).trim();
  });
}
