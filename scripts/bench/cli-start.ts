import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { commandGroups } from '../../daemon/cli/command-groups.js';
import { median } from '../../daemon/measure/statistics.js';

/**
 * CPU time that `hilda --version`, `hilda --help` and the help of every command take, in seconds of user and system time
 * of the child to 10 ms, beside that of `node -e 0`, which alternates with them. `--runs 3` for a quick look.
 */
const { values } = parseArgs({ options: { runs: { type: 'string', default: '7' } } });
const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1) throw new Error(`--runs: ${values.runs} is no count`);

const main = fileURLToPath(new URL('../../daemon/cli/main.js', import.meta.url));
const groups = [...commandGroups.keys()];

/** Children are waited for one by one, so the rise of what ended children used is this one's. */
async function cpuSeconds(args: readonly string[]): Promise<number> {
  const before = childSeconds();
  await promisify(execFile)(process.execPath, [...args]);
  return childSeconds() - before;
}

/** User and system time of all ended children, from the kernel: fields 16 and 17 of /proc/self/stat, in ticks. */
function childSeconds(): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

const cases: Readonly<Record<string, readonly string[]>> = {
  version: [main, '--version'],
  help: [main, '--help'],
  ...Object.fromEntries(groups.map((name) => [`${name}Help`, [main, name, '--help']])),
};
const bare: number[] = [];
const taken = new Map<string, number[]>(Object.keys(cases).map((name) => [name, []]));
for (let run = 0; run < runs; run++)
  for (const [name, args] of Object.entries(cases)) {
    bare.push(await cpuSeconds(['-e', '0']));
    taken.get(name)?.push(await cpuSeconds(args));
  }
const bareS = median(bare);
const seconds = Object.fromEntries([...taken].map(([name, list]) => [name, median(list)]));
const worst = Math.max(...Object.values(seconds));
for (const [name, value] of Object.entries(seconds))
  console.log(`${name.padEnd(16)} ${value.toFixed(3)} s, ${(value / bareS).toFixed(2)} times node`);
console.log(
  JSON.stringify({ bench: 'cli-start', runs, bareS, ...seconds, worstS: worst, worstRatio: worst / bareS }),
);
