/**
 * Prediction error on published latency tables: `npm run bench -- predictor [--data DIR] [--seeds N] [--test N] [--parts
 * help,n,phones,ofa,time]`. Each seed draws its own training and test rows; figures are means over seeds.
 */
import { parseArgs } from 'node:util';
import type { Views } from '../../daemon/predict/contract.js';
import { PickedPredictor } from '../../daemon/predict/picked.js';
import { type SourceTarget, transferSamples, withTransfer } from '../../daemon/predict/transfer.js';
import { mean } from './parts/mean.js';
import {
  helpSources,
  helpTargets,
  type PublishedRow,
  readCells,
  readOfaRows,
  scoresOf,
  split,
} from './parts/published-tables.js';

const { values: args } = parseArgs({
  options: {
    data: { type: 'string', default: '../shared/data' },
    seeds: { type: 'string', default: '10' },
    test: { type: 'string', default: '3000' },
    sources: { type: 'string', default: '100' },
    sizes: { type: 'string', default: '30,100,900' },
    apart: { type: 'string', default: 'eyeriss,fpga,1080ti_256,titan_rtx_256' },
    parts: { type: 'string', default: 'help,n,phones,ofa,time' },
    verbose: { type: 'boolean', default: false },
  },
});
const seeds = Array.from({ length: Number(args.seeds) }, (_, i) => i + 1);
const testRows = Number(args.test);
const parts = new Set(args.parts.split(','));
const figures: Record<string, number> = {};
const round = (value: number): number => Number(value.toFixed(4));
const cells = readCells('predictor', args.data);

type Scores = ReturnType<typeof scoresOf>;

/** Learns `column` from `n` rows and is asked about others. */
function trial(
  rows: readonly PublishedRow[],
  column: string,
  n: number,
  seed: number,
  sources: readonly SourceTarget[] = [],
): Scores {
  const { train, test } = split(rows, n, testRows, seed);
  const describe = (list: readonly PublishedRow[]): readonly Views[] =>
    withTransfer(
      list.map(({ views }) => views),
      sources,
      n,
    );
  const costs = (list: readonly PublishedRow[]): number[] =>
    list.map(({ latencyMs }) => latencyMs[column] as number);
  const predictor = new PickedPredictor();
  predictor.fit(describe(train), costs(train));
  const scores = scoresOf(costs(test), predictor.predict(describe(test)).mean);
  if (args.verbose)
    console.log(
      `  ${column} ${n} seed ${seed}: ${scores.spearman.toFixed(4)} ${scores.mape.toFixed(1)} ${scores.within10.toFixed(3)} ${predictor.report().model}`,
    );
  return scores;
}

function average(scores: readonly Scores[]): Scores {
  const of = (key: keyof Scores): number => round(mean(scores.map((s) => s[key])));
  return { spearman: of('spearman'), mape: of('mape'), within10: of('within10') };
}

function report(
  name: string,
  rows: readonly PublishedRow[],
  column: string,
  n: number,
  keys: readonly (keyof Scores)[],
): void {
  const scores = average(seeds.map((seed) => trial(rows, column, n, seed)));
  for (const key of keys) figures[`${name}.${column}.${key}`] = scores[key];
  console.log(
    `${name.padEnd(10)} ${column.padEnd(16)} Spearman ${scores.spearman}  MAPE ${scores.mape} %  within 10 % ${scores.within10}`,
  );
}

/** What is known of the other devices, by seed; their networks are others than the seed's probes and test rows. */
const known = new Map<number, readonly SourceTarget[]>();
function sourcesOf(seed: number): readonly SourceTarget[] {
  const made =
    known.get(seed) ??
    helpSources.map((source): SourceTarget => {
      const rows = split(cells, Number(args.sources), 0, 1000 + seed).train;
      const predictor = new PickedPredictor();
      predictor.fit(
        rows.map(({ views }) => views),
        rows.map(({ latencyMs }) => latencyMs[source] as number),
      );
      return { name: source, predict: (samples) => predictor.predict(samples) };
    });
  known.set(seed, made);
  return made;
}

if (parts.has('help')) {
  for (const n of [10, 20]) {
    const all = helpTargets.map((column) => {
      const scores = average(
        seeds.map((seed) => {
          return trial(cells, column, n, seed, n < transferSamples ? sourcesOf(seed) : []);
        }),
      );
      figures[`help${n}.${column}.spearman`] = scores.spearman;
      console.log(`help${n}     ${column.padEnd(16)} Spearman ${scores.spearman}`);
      return scores.spearman;
    });
    figures[`help${n}.spearman`] = round(mean(all));
    console.log(`help${n}     mean             Spearman ${figures[`help${n}.spearman`]}`);
  }
}
if (parts.has('n')) {
  for (const n of args.sizes.split(',').map(Number))
    for (const column of ['pixel3', 'raspi4'])
      report(`n${n}`, cells, column, n, ['spearman', 'mape', 'within10']);
  // Noise-free accelerator models and large batches, apart from the rest.
  for (const column of args.apart.split(',').filter(Boolean))
    report('apart30', cells, column, 30, ['spearman', 'mape']);
  const right = seeds.map(
    (seed) =>
      [...helpSources, ...helpTargets].filter((column) => {
        const { train } = split(cells, 30, 0, seed);
        const predictor = new PickedPredictor();
        predictor.fit(
          train.map(({ views }) => views),
          train.map(({ latencyMs }) => latencyMs[column] as number),
        );
        const prunes = ['folded', 'pruned'].includes(predictor.report().transform);
        return prunes === /^(pixel3|raspi4)$/.test(column);
      }).length /
      (helpSources.length + helpTargets.length),
  );
  figures['picker30.right'] = round(mean(right));
  console.log(
    `picker30   right transform in ${(100 * mean(right)).toFixed(1)} % of 15 columns x ${seeds.length} seeds`,
  );
}
if (parts.has('phones'))
  for (const column of ['pixel2', 'samsung_s7', 'essential_ph_1'])
    report('phones200', cells, column, 200, ['spearman']);
if (parts.has('ofa')) {
  const rows = readOfaRows('predictor', args.data);
  for (const column of Object.keys(rows[0]?.latencyMs ?? {}))
    report('ofa100', rows, column, 100, ['spearman', 'within10']);
}
if (parts.has('time')) {
  // The best of several: what else runs on the machine only ever adds.
  const { train, test } = split(cells, 100, 1000, 1);
  const costs = train.map(({ latencyMs }) => latencyMs.raspi4 as number);
  const best = { fit: Number.POSITIVE_INFINITY, predict: Number.POSITIVE_INFINITY };
  for (let round = 0; round < 12; round++) {
    const predictor = new PickedPredictor();
    const start = performance.now();
    predictor.fit(
      train.map(({ views }) => views),
      costs,
    );
    const fitted = performance.now();
    predictor.predict(test.map(({ views }) => views));
    best.fit = Math.min(best.fit, fitted - start);
    best.predict = Math.min(best.predict, performance.now() - fitted);
  }
  figures.fitMs100 = round(best.fit);
  figures.predictMs1000 = round(best.predict);
  console.log(
    `fit at 100 samples ${best.fit.toFixed(0)} ms, 1,000 predictions ${best.predict.toFixed(2)} ms`,
  );
}
console.log(JSON.stringify({ bench: 'predictor', figures }));
