/**
 * Mutation score of one part: `node dist/scripts/quality/mutate.js PART [--sample N] [--seed S] [--only FILE]
 * [--tests measure/measure,...]`. Fewer tests take less time and give a lower bound of the score.
 * Mutants are made of the built files, in a copy of the tree. A mutant runs the part's tests that reach it, the quickest
 * first, until one fails. A mutant that no test executes counts as survived. The sample is drawn uniformly from all mutants; the
 * score has a 95 % interval.
 */
import { spawn } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { shuffled, Xoshiro128 } from '../../daemon/core/rng.js';
import { proportionInterval } from '../../daemon/predict/proportions.js';
import { type Mutant, mutantsOf } from './mutants.js';
import { sourceLineOf } from './source-lines.js';
import { type RanByFile, readRawCoverage } from './v8-coverage.js';

interface Part {
  readonly sources: readonly string[];
  readonly tests: readonly string[];
}
/** Which tests are to notice what. */
const parts: Readonly<Record<string, Part>> = {
  measure: {
    sources: ['daemon/measure'],
    tests: ['measure/measure', 'measure/repeatability', 'devices/devices'],
  },
  intervals: {
    sources: [
      'daemon/predict/proportions',
      'daemon/predict/picked',
      'daemon/predict/score',
      'daemon/predict/statistics',
      'daemon/predict/nearest-variance',
      'daemon/predict/growing-factor',
    ],
    tests: ['predict/proportions', 'predict/predict', 'predict/picked', 'predict/models'],
  },
  jobs: {
    sources: ['daemon/jobs'],
    tests: ['jobs/jobs', 'fleet/device-pool', 'predictors/predictors', 'jobs/killed'],
  },
  link: {
    sources: ['firmware-bridge/link'],
    tests: ['link/frames', 'link/recovery', 'link/link', 'devices/line-faults'],
  },
  'core-link': {
    sources: ['daemon/core/link'],
    tests: ['core/lines', 'agent/agent-lines', 'devices/page-lines'],
  },
};

const { values: args, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sample: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    tests: { type: 'string' },
  },
});
const part = parts[positionals[0] ?? ''];
if (!part) throw new Error(`name a part: ${Object.keys(parts).join(', ')}`);
const root = fileURLToPath(new URL('../../..', import.meta.url));
const tree = mkdtempSync(join(tmpdir(), 'hilda-mutants-'));
process.once('exit', () => rmSync(tree, { recursive: true, force: true }));
for (const name of readdirSync(root))
  if (!['dist', '.git', '.tap'].includes(name)) symlinkSync(join(root, name), join(tree, name));
for (const name of readdirSync(join(root, 'dist')))
  cpSync(join(root, 'dist', name), join(tree, 'dist', name), { recursive: true });

interface Outcome {
  readonly ok: boolean;
  readonly ms: number;
}
/** Runs one test file to its end, or kills it and what it started after the limit. */
function runTest(test: string, limitMs: number, coverage?: string): Promise<Outcome> {
  const started = performance.now();
  const child = spawn(process.execPath, [join(tree, 'dist/test', `${test}.test.js`)], {
    cwd: tree,
    detached: true,
    stdio: 'ignore',
    env: {
      ...process.env,
      TAP_BAIL: coverage ? '0' : '1',
      TAP_TIMEOUT: '600',
      ...(coverage && { NODE_V8_COVERAGE: coverage }),
    },
  });
  return new Promise((done) => {
    const kill = (): void => {
      try {
        process.kill(-child.pid!, 'SIGKILL');
      } catch {}
    };
    const timer = setTimeout(kill, limitMs);
    child.once('exit', (code) => {
      clearTimeout(timer);
      kill();
      done({ ok: code === 0, ms: performance.now() - started });
    });
  });
}

interface Baseline {
  readonly test: string;
  readonly ms: number;
  readonly ran: RanByFile;
}
const baselines: Baseline[] = [];
for (const test of args.tests?.split(',') ?? part.tests) {
  const folder = join(tree, 'coverage', test);
  mkdirSync(folder, { recursive: true });
  const { ok, ms } = await runTest(test, 900_000, folder);
  if (!ok) throw new Error(`${test} fails without any mutant`);
  baselines.push({ test, ms, ran: readRawCoverage(folder, join(tree, 'dist')).ran });
  console.error(`${test}: ${(ms / 1000).toFixed(1)} s`);
}
baselines.sort((a, b) => a.ms - b.ms);

const files = part.sources.flatMap((source) => {
  const path = join(tree, 'dist', source);
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) return [`${path}.js`];
  const names = readdirSync(path, { recursive: true }) as string[];
  return names.filter((name) => name.endsWith('.js')).map((name) => join(path, name));
});
const all = files
  .filter((path) => args.only === undefined || path.includes(args.only))
  .sort()
  .flatMap((path) => mutantsOf(readFileSync(path, 'utf8')).map((mutant) => ({ path, mutant })));
const chosen = shuffled(Xoshiro128.fromSeed(Number(args.seed)), all).slice(0, Number(args.sample));
console.error(`${all.length} mutants in ${files.length} files, ${chosen.length} of them run`);

const counts = { killed: 0, late: 0, survived: 0, unreached: 0 };
for (const [i, { path, mutant }] of chosen.entries()) {
  const fate = await fateOf(path, mutant);
  counts[fate]++;
  const { killed, late } = counts;
  if (fate === 'survived' || fate === 'unreached') console.log(`${fate} ${described(path, mutant)}`);
  console.error(`${i + 1}/${chosen.length} ${fate}, ${killed + late} noticed`);
}
const noticed = counts.killed + counts.late;
const [low, high] = proportionInterval(noticed, chosen.length);
const score = noticed / chosen.length;
console.log(
  JSON.stringify({
    part: positionals[0],
    mutants: all.length,
    run: chosen.length,
    ...counts,
    score,
    ci: [low, high],
    seed: Number(args.seed),
  }),
);

async function fateOf(path: string, { start, end, text }: Mutant): Promise<keyof typeof counts> {
  const reaching = baselines.filter(({ ran }) => ran.get(path)?.[start] === 1);
  if (reaching.length === 0) return 'unreached';
  const source = readFileSync(path, 'utf8');
  writeFileSync(path, source.slice(0, start) + text + source.slice(end));
  try {
    for (const { test, ms } of reaching) {
      const limitMs = 3 * ms + 20_000;
      const outcome = await runTest(test, limitMs);
      if (!outcome.ok) return outcome.ms >= limitMs ? 'late' : 'killed';
    }
    return 'survived';
  } finally {
    writeFileSync(path, source);
  }
}

function described(path: string, { kind, start, end, text }: Mutant): string {
  const source = readFileSync(path, 'utf8');
  const before = source.slice(0, start).split('\n');
  const line = sourceLineOf(path)?.(before.length - 1, before.at(-1)!.length) ?? before.length;
  const name = relative(join(tree, 'dist'), path).replace(/\.js$/, '.ts');
  const was = source.slice(start, Math.min(end, start + 60)).replace(/\s+/g, ' ');
  return `${name}:${line} ${kind}: ${was} -> ${text}`;
}
