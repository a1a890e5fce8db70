/** Share of measurements inside their 90 % interval: `npm run bench -- intervals [--data DIR] [--seeds N] [--samples 30,100]`. */
import { parseArgs } from 'node:util';
import { PickedPredictor } from '../../daemon/predict/picked.js';
import { mean } from './parts/mean.js';
import { type PublishedRow, readCells, readOfaRows, split } from './parts/published-tables.js';

const { values: args } = parseArgs({
  options: {
    data: { type: 'string', default: '../shared/data' },
    seeds: { type: 'string', default: '10' },
    samples: { type: 'string', default: '30,100' },
    test: { type: 'string', default: '1500' },
  },
});
const seeds = Array.from({ length: Number(args.seeds) }, (_, i) => i + 1);
const figures: Record<string, number> = {};

function coverage(rows: readonly PublishedRow[], column: string, n: number): number[] {
  return seeds.map((seed) => {
    const { train, test } = split(rows, n, Number(args.test), seed);
    const costs = (list: readonly PublishedRow[]): number[] =>
      list.map(({ latencyMs }) => latencyMs[column] as number);
    const predictor = new PickedPredictor();
    predictor.fit(
      train.map(({ views }) => views),
      costs(train),
    );
    const { low, high } = predictor.predict(test.map(({ views }) => views));
    return mean(costs(test).map((y, i) => Number(y >= (low[i] as number) && y <= (high[i] as number))));
  });
}

const tables = { nb201: readCells('intervals', args.data), ofa: readOfaRows('intervals', args.data) };
for (const [table, rows] of Object.entries(tables)) {
  for (const column of Object.keys(rows[0]?.latencyMs ?? {})) {
    // The first size is the figure: intervals are promised from 30 samples on.
    args.samples.split(',').forEach((size, i) => {
      const shares = coverage(rows, column, Number(size));
      const share = Number(mean(shares).toFixed(4));
      figures[`coverage${i === 0 ? '' : size}.${table === 'ofa' ? 'ofa_' : ''}${column}`] = share;
      console.log(
        `${table.padEnd(6)} ${column.padEnd(16)} ${size.padStart(4)} samples: ${(100 * share).toFixed(1)} % inside (worst seed ${(100 * Math.min(...shares)).toFixed(0)} %)`,
      );
    });
  }
}
console.log(JSON.stringify({ bench: 'intervals', figures }));
