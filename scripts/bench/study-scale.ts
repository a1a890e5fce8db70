/**
 * `npm run bench -- study-scale [--small N] [--large N] [--seconds N] [--rounds N] [--page chromium|none] [--dir FOLDER]`:
 * what readers of a study cost its search. A search writes trials into a study of `--small` trials as fast as the store
 * takes them: alone, with the page open in Chromium (`withPage`, bar: at least 0.9 of the trials without), and with 100
 * ws readers of every event (`with100Readers`, bar: 0.8); `...Cpu` are the same ratios of the daemon's CPU time by trial.
 * Then each GET of a study of `--large` trials, by the CPU time of the daemon's process (`getStudyMs`, `getTrialsMs`,
 * `getFrontMs`, bar: 50 ms): the median of five. The first of its kind in the life of the daemon reads what the others
 * find in memory, and runs code that is not compiled yet (`firstGetStudyMs`, ...). `getTrialsMs` is the dearest kind of
 * page: by number, sorted and filtered, and columns. `rssMb`: the most memory that the process held (bar: 300).
 */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import type { StudyId } from '../../daemon/core/ids.js';
import { median } from '../../daemon/measure/statistics.js';
import { dashboardDir } from '../../daemon/process/installation.js';
import type { Order } from './parts/scale-daemon.js';
import { fillStudy } from './parts/scale-study.js';

const { values: flags } = parseArgs({
  options: {
    small: { type: 'string', default: '10000' },
    large: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '8' },
    rounds: { type: 'string', default: '3' },
    page: { type: 'string', default: 'chromium' },
    dir: { type: 'string', default: tmpdir() },
  },
});
const seconds = Number(flags.seconds);
const rounds = Number(flags.rounds);
const readers = 100;
const repeats = 5;

const here = (file: string): string => fileURLToPath(new URL(`./parts/${file}`, import.meta.url));

async function ask<T>(child: ChildProcess, message: object): Promise<T> {
  const answer = once(child, 'message');
  child.send(message);
  return (await answer)[0] as T;
}

/** A child, and the first thing it said. */
async function start<T>(file: string, args: readonly string[]): Promise<readonly [ChildProcess, T]> {
  const child = fork(here(file), [...args]);
  const died = once(child, 'exit').then(([code]) => {
    throw new Error(`${file} ended with ${code}`);
  });
  return [child, (await Promise.race([once(child, 'message'), died]))[0] as T];
}

async function end(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  if (child.connected) child.disconnect();
  await exited;
}

/** Opens something that reads while it is open; answers with the way to close it. */
type Reader = (url: string, study: StudyId) => Promise<() => Promise<void>>;

const openPage: Reader = async (url, study) => {
  const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((file) => existsSync(file));
  if (!executablePath) throw new Error('Chromium is missing: npm run setup -- --tests');
  const browser = await chromium.launch({
    executablePath,
    headless: true,
    args: ['--no-sandbox', '--disable-gpu'],
  });
  const page = await browser.newPage();
  await page.goto(`${url}/#/studies/${study}`);
  await page.getByTestId('trials-done').waitFor({ timeout: 120_000 });
  return () => browser.close();
};

const openReaders: Reader = async (url) => {
  const [child] = await start('scale-readers.js', [url, String(readers)]);
  return async () => {
    const { heard } = await ask<{ heard: number }>(child, {});
    console.log(`  ${readers} readers heard ${heard} events`);
    await end(child);
  };
};

const dataDir = await mkdtemp(join(flags.dir, 'hilda-scale-'));
try {
  if (flags.page !== 'none' && !existsSync(join(dashboardDir, 'main.js')))
    execFileSync(process.execPath, ['scripts/build-dashboard.mjs'], { stdio: 'inherit' });
  console.log(`filling a study of ${flags.small} and one of ${flags.large} trials in ${dataDir}`);
  const small = await fillStudy(dataDir, Number(flags.small));
  const large = await fillStudy(dataDir, Number(flags.large));
  const gets = await getsOf(large);
  const shares = await sharesOf(small);
  const rssMb = Math.max(gets.rssMb, shares.rssMb);
  const figures = { ...gets, ...shares, rssMb, loadAverage: loadavg()[0] };
  console.log(JSON.stringify({ bench: 'study-scale', figures }));
} finally {
  await rm(dataDir, { recursive: true, force: true });
}

interface Pace {
  readonly perSecond: number;
  /** CPU time of the daemon's process, which other work on the machine changes little. */
  readonly cpuMs: number;
}

/** Trials a second with readers by those without, as the median over the rounds; and the daemon's CPU time by trial. */
async function sharesOf(study: StudyId) {
  const [daemon, { url }] = await start<{ url: string }>('scale-daemon.js', [dataDir]);
  const pace = async (): Promise<Pace> => {
    const order: Order = { op: 'search', study, seconds };
    const before = await ask<{ cpuMs: number }>(daemon, { op: 'usage' });
    const { finished } = await ask<{ finished: number }>(daemon, order);
    const after = await ask<{ cpuMs: number }>(daemon, { op: 'usage' });
    return { perSecond: finished / seconds, cpuMs: (after.cpuMs - before.cpuMs) / finished };
  };
  const kinds: Readonly<Record<string, Reader>> = {
    ...(flags.page !== 'none' && { withPage: openPage }),
    with100Readers: openReaders,
  };
  const shares: Record<string, number[]> = {};
  const add = (name: string, value: number): void => {
    shares[name] = [...(shares[name] ?? []), value];
  };
  await pace();
  for (let round = 0; round < rounds; round++) {
    for (const [name, open] of Object.entries(kinds)) {
      // Alone before and after, since the machine's speed drifts.
      const before = await pace();
      const close = await open(url, study);
      // What is run for the first time, and what the page loads at first, is no part of its reading.
      await pace();
      const read = await pace();
      await close();
      const after = await pace();
      const bare = (before.perSecond + after.perSecond) / 2;
      const bareCpuMs = (before.cpuMs + after.cpuMs) / 2;
      console.log(
        `${name}: ${read.perSecond.toFixed(1)} trials/s and ${read.cpuMs.toFixed(2)} ms of CPU each, without ${bare.toFixed(1)} and ${bareCpuMs.toFixed(2)}`,
      );
      add('trialsPerSecond', bare);
      add(name, read.perSecond / bare);
      add(`${name}Cpu`, read.cpuMs / bareCpuMs);
    }
  }
  const { rssMb } = await ask<{ rssMb: number }>(daemon, { op: 'usage' });
  await ask(daemon, { op: 'stop' });
  const medians = Object.entries(shares).map(([name, list]) => [name, median(list)]);
  return { ...(Object.fromEntries(medians) as Record<string, number>), rssMb };
}

/** The CPU time of the first look at a study that was filled from outside: a search stores its sums on the way. */
async function sumUp(study: StudyId): Promise<number> {
  const [daemon, { url }] = await start<{ url: string }>('scale-daemon.js', [dataDir]);
  const before = await ask<{ cpuMs: number }>(daemon, { op: 'usage' });
  await (await fetch(`${url}/v1/studies/${study}`)).arrayBuffer();
  const after = await ask<{ cpuMs: number }>(daemon, { op: 'usage' });
  await ask(daemon, { op: 'stop' });
  return after.cpuMs - before.cpuMs;
}

/** CPU time of each GET, the first ones right after the daemon has started. */
async function getsOf(study: StudyId) {
  console.log(`summing up ${flags.large} trials: ${(await sumUp(study)).toFixed(1)} ms of CPU, once`);
  const [daemon, { url }] = await start<{ url: string }>('scale-daemon.js', [dataDir]);
  const usage = (): Promise<{ cpuMs: number; rssMb: number }> => ask(daemon, { op: 'usage' });
  const cpuMs = async (path: string): Promise<number> => {
    const before = await usage();
    const response = await fetch(`${url}/v1/studies/${study}${path}`);
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    await response.arrayBuffer();
    return (await usage()).cpuMs - before.cpuMs;
  };
  const kinds: Readonly<Record<string, readonly string[]>> = {
    getStudyMs: [''],
    getFrontMs: ['/front'],
    getTrialsMs: [
      '/trials',
      '/trials?sort=-number&limit=200',
      '/trials?sort=-latencyUs&state=complete&where=accuracy>=0.7&limit=200',
      '/columns?metrics=latencyUs,accuracy&state=complete',
      '/trials?limit=1000',
    ],
  };
  const figures: Record<string, number> = {};
  for (const [name, paths] of Object.entries(kinds)) {
    for (const path of paths) {
      const first = await cpuMs(path);
      const later: number[] = [];
      for (let i = 0; i < repeats; i++) later.push(await cpuMs(path));
      console.log(`GET study${path}: first ${first.toFixed(1)} ms of CPU, then ${median(later).toFixed(1)}`);
      figures[name] = Math.max(figures[name] ?? 0, median(later));
      const cold = name.replace(/^get/, 'firstGet');
      figures[cold] = Math.max(figures[cold] ?? 0, first);
    }
  }
  const { rssMb } = await usage();
  await ask(daemon, { op: 'stop' });
  return { ...figures, rssMb };
}
