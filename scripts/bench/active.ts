/**
 * Active learning against random choice: `npm run bench -- active [--data DIR] [--seeds N]`. From 20 random samples on,
 * nine in ten are chosen as the most informative and one in ten at random, in batches of 10. `sampleRatio`: how many
 * random samples reach the error (MAPE over 1,000 other rows) of 60 active ones, over 60; the mean over columns.
 */
import { parseArgs } from 'node:util';
import { type Rng, randomInt, shuffled, Xoshiro128 } from '../../daemon/core/rng.js';
import { PickedPredictor } from '../../daemon/predict/picked.js';
import { mean } from './parts/mean.js';
import { type PublishedRow, readCells, readOfaRows, scoresOf } from './parts/published-tables.js';

const { values: args } = parseArgs({
  options: {
    data: { type: 'string', default: '../shared/data' },
    seeds: { type: 'string', default: '10' },
    columns: { type: 'string', default: 'ofa:v100_64,ofa:2080ti_64,nb201:titan_rtx_256,nb201:gold_6226' },
  },
});
const [first, budget, batch, auditShare, poolSize, testRows] = [20, 60, 10, 0.1, 1500, 1000];
const randomSizes = [60, 75, 90, 110, 140, 180, 240];
const tables = { nb201: readCells('active', args.data), ofa: readOfaRows('active', args.data) };
const figures: Record<string, number> = {};

function fit(known: readonly PublishedRow[], column: string): PickedPredictor {
  const predictor = new PickedPredictor();
  predictor.fit(
    known.map(({ views }) => views),
    known.map((row) => row.latencyMs[column] as number),
  );
  return predictor;
}

function errorOf(known: readonly PublishedRow[], test: readonly PublishedRow[], column: string): number {
  const predicted = fit(known, column).predict(test.map(({ views }) => views)).mean;
  return scoresOf(
    test.map((row) => row.latencyMs[column] as number),
    predicted,
  ).mape;
}

function actively(rows: readonly PublishedRow[], column: string, rng: Rng): PublishedRow[] {
  const known = rows.slice(0, first);
  let left = rows.slice(first);
  while (known.length < budget) {
    const asked = shuffled(rng, left).slice(0, poolSize);
    const audits = Math.round(batch * auditShare);
    const indices = fit(known, column).mostInformative(
      asked.map(({ views }) => views),
      batch - audits,
    );
    const chosen = new Set(indices.map((i) => asked[i] as PublishedRow));
    while (chosen.size < batch) chosen.add(asked[randomInt(rng, asked.length)] as PublishedRow);
    known.push(...chosen);
    left = left.filter((row) => !chosen.has(row));
  }
  return known;
}

/** Where the falling curve of errors crosses `error`: a straight line between sizes; the last size where it never does. */
function sizeFor(error: number, errors: readonly number[]): number {
  const beyond = errors.findIndex((e) => e <= error);
  if (beyond < 0) return randomSizes.at(-1) as number;
  if (beyond === 0) return randomSizes[0] as number;
  const [n0, n1] = [randomSizes[beyond - 1] as number, randomSizes[beyond] as number];
  const [e0, e1] = [errors[beyond - 1] as number, errors[beyond] as number];
  return n0 + ((e0 - error) / (e0 - e1)) * (n1 - n0);
}

const ratios = args.columns.split(',').map((name) => {
  const [table, column] = name.split(':') as [keyof typeof tables, string];
  const active: number[] = [];
  const random = randomSizes.map((): number[] => []);
  for (let seed = 1; seed <= Number(args.seeds); seed++) {
    const rng = Xoshiro128.fromSeed(seed);
    const mixed = shuffled(rng, tables[table]);
    const test = mixed.slice(0, testRows);
    const rows = mixed.slice(testRows);
    active.push(errorOf(actively(rows, column, rng), test, column));
    randomSizes.forEach((n, i) => void random[i]?.push(errorOf(rows.slice(0, n), test, column)));
  }
  const ratio = sizeFor(mean(active), random.map(mean)) / budget;
  figures[`${column}.sampleRatio`] = Number(ratio.toFixed(3));
  console.log(
    `${name.padEnd(22)} error of ${budget} active ${mean(active).toFixed(3)} %; random ${randomSizes.map((n, i) => `${n}: ${mean(random[i] as number[]).toFixed(3)}`).join(', ')}; ratio ${ratio.toFixed(2)}`,
  );
  return ratio;
});
figures.sampleRatio = Number(mean(ratios).toFixed(3));
console.log(JSON.stringify({ bench: 'active', figures }));
