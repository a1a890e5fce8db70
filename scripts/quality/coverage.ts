/**
 * Line coverage by folder, from what V8 wrote while tests ran: `NODE_V8_COVERAGE=DIR npm test`, then
 * `node dist/scripts/quality/coverage.js DIR [--root TREE] [--least N] [--missed FILE] [--floor floors.json]`.
 * Only lines that hold code count. Files that no process loaded count as not run. A process that SIGKILL ends writes
 * nothing: what only such processes run shows as missed. Exit code 1 where a folder is under its floor.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { countLines, type LineCount } from './source-lines.js';
import { readRawCoverage } from './v8-coverage.js';

const { values: args, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    root: { type: 'string', default: fileURLToPath(new URL('../../..', import.meta.url)) },
    least: { type: 'string', default: '25' },
    missed: { type: 'string' },
    floor: { type: 'string' },
  },
});
const [folder] = positionals;
if (folder === undefined) throw new Error('name the folder that NODE_V8_COVERAGE named');
const dist = join(resolve(args.root), 'dist');
/** The parts that the floors speak of. Firmware is C and has no lines here. */
const parts = ['daemon', 'firmware-bridge/compiler', 'firmware-bridge/link', 'firmware-bridge/emulator'];

const { ran, processes, unreadable } = readRawCoverage(resolve(folder), dist);
const counts = new Map<string, LineCount>();
for (const part of parts)
  for (const entry of readdirSync(join(dist, part), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.js')) continue;
    const path = join(entry.parentPath, entry.name);
    const count = countLines(path, ran.get(path) ?? null);
    if (count.lines > 0) counts.set(relative(dist, path).replace(/\.js$/, '.ts'), count);
  }

interface Share {
  readonly lines: number;
  readonly ran: number;
}
function shareOf(under: string): Share {
  const own = [...counts].filter(([name]) => name.startsWith(`${under}/`));
  const sum = (pick: (count: LineCount) => number) => own.reduce((all, [, count]) => all + pick(count), 0);
  return { lines: sum(({ lines }) => lines), ran: sum((count) => count.ran) };
}
const percent = ({ lines, ran: did }: Share): number => (lines === 0 ? 100 : (100 * did) / lines);
const row = (name: string, share: Share): string =>
  `${percent(share).toFixed(1).padStart(6)} %  ${String(share.ran).padStart(6)}/${String(share.lines).padEnd(6)} ${name}`;

const folders = new Set<string>();
for (const name of counts.keys()) {
  const [first = '', second = '', third] = name.split('/');
  if (first === 'daemon') folders.add(third === undefined ? first : `${first}/${second}`);
  else folders.add(`${first}/${second}`);
}
console.log(`${processes} processes, ${unreadable} unreadable; killed ones wrote nothing`);
console.log(
  [...folders]
    .sort()
    .map((name) => row(name, shareOf(name)))
    .join('\n'),
);

const least = [...counts]
  .filter(([, { lines }]) => lines >= 5)
  .sort(([, a], [, b]) => b.lines - b.ran - (a.lines - a.ran))
  .slice(0, Number(args.least));
console.log(`\nmost lines missed:\n${least.map(([name, count]) => row(name, count)).join('\n')}`);
for (const [name, { missed }] of counts)
  if (args.missed !== undefined && name.includes(args.missed)) console.log(`${name}: ${missed.join(' ')}`);

const reached = Object.fromEntries(parts.map((part) => [part, Number(percent(shareOf(part)).toFixed(2))]));
const floors = args.floor ? (JSON.parse(readFileSync(args.floor, 'utf8')) as Record<string, number>) : {};
const under = Object.entries(floors).filter(([part, floor]) => percent(shareOf(part)) < floor);
for (const [part, floor] of under) console.error(`${part}: ${reached[part]} %, its floor is ${floor} %`);
console.log(JSON.stringify({ coverage: reached, floors, processes }));
process.exitCode = under.length > 0 ? 1 : 0;
