/**
 * `npm run bench -- links [--kinds page,agent] [--kbit 256,2000,8000,20000] [--delays 50,300] [--megabytes 1,20,100] [--real]
 * [--list]`: a network measured over slow lines that break. Line and time are simulated; the daemon's, the page's and the
 * agent's own code run as they are, the agent on a real disk. Each case has three cuts of 5 to 120 s: two while the model
 * comes, one while it runs. `--real` adds cases over TCP and a proxy, in real time (about four minutes). Bars: 0 for
 * `stuck` (not over in one and a half times the line's own time and five minutes), `lost` (ended without a result),
 * `doubled` (more than one result taken) and `invalid` (another verdict than valid); 0.1 for `overhead`, the worst share of
 * bytes of all kinds, both ways, beyond the model's. `begun`: tries; one more for each time that the peer was away for too
 * long. `refused`: results of agents that came after their lease had run out; those were measured again.
 */
import { parseArgs } from 'node:util';
import { type LineCase, type LineOutcome, runLineCase } from '../../test/lines/line-case.js';
import { type LineWorld, realWorld, simulatedWorld } from '../../test/lines/line-world.js';

const { values: flags } = parseArgs({
  options: {
    kinds: { type: 'string', default: 'page,agent' },
    kbit: { type: 'string', default: '256,2000,8000,20000' },
    delays: { type: 'string', default: '50,300' },
    megabytes: { type: 'string', default: '1,20,100' },
    real: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
});
const numbers = (list: string): number[] => list.split(',').map(Number);
const kinds = flags.kinds.split(',').map((kind) => (kind === 'page' ? 'page' : 'agent'));
const cutLengths = [5000, 20_000, 45_000, 60_000, 120_000];
const cutsOf = (...lengths: readonly number[]) =>
  lengths.map((ms, i) => ({ at: [0.3, 0.7, 1][i] as number, ms }));

const startMs = performance.now();
const figures = {
  cases: 0,
  realCases: 0,
  cuts: 0,
  begun: 0,
  stuck: 0,
  lost: 0,
  doubled: 0,
  refused: 0,
  invalid: 0,
  overhead: 0,
  slowest: 0,
};

function count(given: LineCase, outcome: LineOutcome, place: string): void {
  const { kind, kbitPerS, delayMs, bytes, cuts } = given;
  const { results, valid, refused, isStuck, seconds, leastSeconds, attempts, code } = outcome;
  const overhead = outcome.lineBytes / outcome.modelBytes - 1;
  figures.cases++;
  figures.cuts += cuts.length;
  figures.begun += attempts;
  if (isStuck) figures.stuck++;
  else if (results === 0) figures.lost++;
  if (results > 1) figures.doubled++;
  figures.refused += refused;
  if (results > 0 && !valid) figures.invalid++;
  figures.overhead = Math.max(figures.overhead, overhead);
  figures.slowest = Math.max(figures.slowest, seconds / leastSeconds);
  const isGood = results === 1 && valid && overhead <= 0.1;
  if (isGood && !flags.list) return;
  const what = `${place} ${kind} ${kbitPerS} kbit/s ${delayMs} ms ${bytes / 1e6} MB, cuts ${cuts.map(({ ms }) => ms / 1000).join(' ')} s`;
  const ended = code ?? `${results} result(s)${refused > 0 ? `, ${refused} refused` : ''}`;
  const times = `${Math.round(seconds)} s (the line alone ${Math.round(leastSeconds)}), begun ${attempts} times`;
  console.error(
    `${isGood ? 'good' : 'BAD '} ${what}: ${ended}, ${times}, ${(100 * overhead).toFixed(1)} % overhead`,
  );
}

const speeds = numbers(flags.kbit).flatMap((kbitPerS) =>
  numbers(flags.delays).map((delayMs) => ({ kbitPerS, delayMs })),
);
let turn = 0;
for (const kind of kinds)
  for (const speed of speeds)
    for (const megabytes of numbers(flags.megabytes)) {
      const lengths = [0, 1, 2].map(() => cutLengths[turn++ % cutLengths.length] as number);
      const given: LineCase = { kind, ...speed, bytes: megabytes * 1e6, cuts: cutsOf(...lengths) };
      count(given, await runLineCase(given, simulatedWorld(speed)), 'simulated');
    }

const real = [
  { kbitPerS: 256, delayMs: 300, bytes: 1e6, cuts: cutsOf(5000, 25_000) },
  { kbitPerS: 2000, delayMs: 300, bytes: 1e6, cuts: cutsOf(25_000, 40_000, 5000) },
  { kbitPerS: 8000, delayMs: 50, bytes: 2e7, cuts: cutsOf(5000, 25_000, 10_000) },
  { kbitPerS: 20_000, delayMs: 300, bytes: 2e7, cuts: cutsOf(60_000, 5000, 25_000) },
];
if (flags.real) {
  const cases = kinds.flatMap((kind) => real.map((one): LineCase => ({ kind, ...one })));
  figures.realCases = cases.length;
  await Promise.all(
    cases.map(async (given) => {
      const world: LineWorld = await realWorld(given);
      count(given, await runLineCase(given, world), 'real');
    }),
  );
}

console.log(
  JSON.stringify({
    bench: 'links',
    figures: {
      ...figures,
      overhead: Number(figures.overhead.toFixed(4)),
      slowest: Number(figures.slowest.toFixed(2)),
      seconds: Math.round((performance.now() - startMs) / 1000),
    },
  }),
);
const { stuck, lost, doubled, invalid, overhead } = figures;
process.exit(stuck + lost + doubled + invalid > 0 || overhead > 0.1 ? 1 : 0);
