import t from 'tap';
import { formatFields } from '../../daemon/cli/terminal/fields.js';
import { plainLayout, toneOfState } from '../../daemon/cli/terminal/layout.js';
import { openTerminal, type Stream } from '../../daemon/cli/terminal/open-terminal.js';
import { Progress } from '../../daemon/cli/terminal/progress.js';
import { type Column, formatTable } from '../../daemon/cli/terminal/table.js';
import { cutTo, loadWidths, textWidth, wrapTo } from '../../daemon/cli/terminal/text-width.js';
import { ManualClock } from '../../daemon/core/clock.js';

t.before(loadWidths);

/** East Asian wide, combining, joined emoji, halfwidth katakana. */
const names = ['board', '測定装置', 'Ame\u0301lie', '👩‍🔬 lab', 'ﾎﾞｰﾄﾞ'];

t.test('columns of a text: by Unicode, for every script', async (t) => {
  t.same(names.map(textWidth), [5, 8, 6, 6, 5]);
  t.equal(cutTo('測定装置', 5), '測定…', 'a wide character is not cut in two');
  t.equal(cutTo('Ame\u0301lie', 4), 'Ame\u0301…', 'nor is a mark taken from its letter');
  t.equal(cutTo('short', 5), 'short');
  t.same(wrapTo('one two three', 7), ['one two', 'three']);
  t.same(wrapTo('emulated-rp2040-pico is here', 10), ['emulated-rp2040-pico', 'is here'], 'ids stay whole');
});

interface Row {
  readonly id: string;
  readonly state: string;
  readonly cost: number;
  readonly note: string;
}
const columns: Column<Row>[] = [
  { title: 'DEVICE', value: ({ id }) => id },
  { title: 'STATE', value: ({ state }) => state, tone: toneOfState },
  { title: 'LATENCY AT 95 % OF ALL', align: 'right', value: ({ cost }) => `${cost} ms` },
  { title: 'MODEL', value: ({ note }) => note },
];
const rows: Row[] = names.map((id, i) => ({
  id,
  state: i === 0 ? 'failed' : 'adopted',
  cost: 10 ** i,
  note: 'a long name with many words in it',
}));

t.test('a table keeps its columns in any script and fits the terminal', async (t) => {
  const plain = formatTable(columns, rows).split('\n');
  t.equal(plain.length, rows.length + 1, 'a line each where nothing limits it');
  const starts = plain.map((line) => textWidth(line.slice(0, line.search(/STATE|failed|adopted/))));
  t.equal(new Set(starts).size, 1, `the second column begins at one place: ${starts}`);
  for (const width of [20, 30, 40, 60, 80, 200]) {
    const text = formatTable(columns, rows, { columns: width, colours: false });
    const widest = Math.max(...text.split('\n').map(textWidth));
    t.ok(widest <= Math.max(width, 44), `${widest} of ${width}`);
    const words = (all: string) => all.split(/\s+/).filter((word) => word !== '').length;
    t.ok(words(text) >= words(plain.join(' ')), 'nothing is cut');
  }
  t.equal(formatTable(columns, rows, { columns: 200, colours: false }), plain.join('\n'));
  const narrow = formatTable(columns, rows, { columns: 20, colours: false });
  t.match(narrow, /^DEVICE +board\nSTATE +failed\n/, 'a list of fields where not even words fit');
  t.equal(narrow.split('\n\n').length, rows.length);
  t.equal(formatTable(columns, []), 'DEVICE  STATE  LATENCY AT 95 % OF ALL  MODEL');
});

t.test('fields go on below their value', async (t) => {
  const fields = [['state', 'failed: the board did not answer in time'] as const, ['now', 'away'] as const];
  t.equal(formatFields(fields), 'state  failed: the board did not answer in time\nnow    away');
  t.equal(
    formatFields(fields, { columns: 30, colours: false }),
    'state  failed: the board did\n       not answer in time\nnow    away',
  );
});

/** A terminal or a pipe that keeps what is written. */
function stream(columns: number | null): Stream & { readonly written: string[] } {
  const written: string[] = [];
  const isTTY = columns !== null;
  return {
    written,
    isTTY,
    ...(isTTY && { columns }),
    hasColors: (_count, env) => isTTY && !env.NO_COLOR && env.TERM !== 'dumb',
    write: (text) => written.push(text),
  };
}

function terminalOn(stdout: Stream, stderr: Stream, env: Record<string, string> = {}) {
  const clock = new ManualClock();
  const signal = new AbortController().signal;
  return { clock, terminal: openTerminal({ stdout, stderr, env, clock, signal }) };
}

const esc = '\u001b';

t.test('colours where the terminal has them, and no other sequence', async (t) => {
  const shown = (out: Stream & { written: string[] }, env: Record<string, string> = {}) => {
    const { terminal } = terminalOn(out, stream(null), env);
    terminal.out(formatTable(columns, rows.slice(0, 2), terminal));
    terminal.out(`${esc}[2J${esc}[8mhidden${esc}[31m`);
    return out.written.join('');
  };
  const coloured = shown(stream(200));
  t.match(coloured, `${esc}[31mfailed`, 'what is wrong is red');
  t.match(coloured, `${esc}[1mDEVICE`);
  t.notMatch(coloured, `${esc}[2J`, "a name's sequences stay text");
  t.notMatch(coloured, `${esc}[8m`);
  t.match(coloured, '\\u001b[2J\\u001b[8mhidden');
  for (const [out, env] of [
    [stream(null), {}],
    [stream(200), { NO_COLOR: '1' }],
    [stream(200), { TERM: 'dumb' }],
  ] as const)
    t.notMatch(shown(out, env), esc, JSON.stringify(env));
  t.equal(shown(stream(null)).split('\n')[0], formatTable(columns, rows.slice(0, 2)).split('\n')[0]);
  t.equal(terminalOn(stream(null), stream(80)).terminal.columns, plainLayout.columns, 'a pipe has no width');
});

t.test('progress: one rewritten line on a terminal', async (t) => {
  const stderr = stream(20);
  const { terminal } = terminalOn(stream(20), stderr);
  const progress = new Progress(terminal);
  for (let i = 1; i <= 50; i++) progress.show(`trials ${i}/50, 測定装置 front 3, hypervolume 0.3`);
  t.notMatch(stderr.written.join(''), /\n/, 'nothing scrolls');
  t.equal(stderr.written.length, 50);
  for (const line of stderr.written) {
    t.ok(line.startsWith(`\r${esc}[2K`), 'in place of the one before');
    t.ok(textWidth(line.slice(5)) < 20, 'too long a line would wrap, and stay');
  }
  terminal.note('a word in between');
  t.same(stderr.written.slice(-2), [`\r${esc}[2K`, 'a word in between\n']);
  progress.end();
  t.equal(stderr.written.at(-1), 'trials 50/50, 測定装置 front 3, hypervolume 0.3\n', 'the last one stays');
  const { terminal: dumb } = terminalOn(stream(20), stream(20), { TERM: 'dumb' });
  t.notOk(dumb.interactive);
});

t.test('progress: at most one line in ten seconds elsewhere, and the last one', async (t) => {
  const stderr = stream(null);
  const { terminal, clock } = terminalOn(stream(null), stderr);
  const progress = new Progress(terminal);
  for (let i = 1; i <= 250; i++) {
    progress.show(`trials ${i}/250`);
    if (i < 250) await clock.advance(100);
  }
  t.same(stderr.written, ['trials 1/250\n', 'trials 101/250\n', 'trials 201/250\n']);
  progress.end();
  progress.end();
  t.equal(stderr.written.length, 4);
  t.equal(stderr.written.at(-1), 'trials 250/250\n');
});
