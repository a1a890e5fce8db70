/**
 * Makes the table of `daemon/predict/changes/thresholds.ts`: `node dist/scripts/calibrate-changes.js [--histories N] [--seed S]`.
 * Unchanged histories of several families are scanned. For each cell of the table the scores of the tests whose points hold the
 * new level give the rate of alarms over the threshold; its tail is continued as exp(a - b score^2), and each column gets its
 * share of the wanted rate. Then one factor on all cells brings the rate of all tests together to the wanted one.
 */
import { parseArgs } from 'node:util';
import { heldPoints } from '../daemon/predict/changes/persistence.js';
import { columnOf, columns, counts, lengths } from '../daemon/predict/changes/thresholds.js';
import { ChangeWatch } from '../daemon/predict/changes/watch.js';
import { barFamily, history, otherFamilies } from './bench/parts/changes/series.js';

const { values: args } = parseArgs({
  options: {
    histories: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1000000' },
    points: { type: 'string', default: '200' },
  },
});
const families = [barFamily, ...otherFamilies.filter(({ calibrated }) => calibrated)];
const rates = [1000, 2000, 5000];
/** What each column has of the rate: long tests find small steps, short ones are there for large ones. */
const shares = [0.3, 0.15, 0.55];
/** Aimed at this share of the wanted rate: the rate itself is known to some 8 %. */
const aim = 0.92;
/** An alarm restarts the test: others this near to it are the same. */
const deadPoints = 25;
const grid = Array.from({ length: 41 }, (_, i) => 3 + i * 0.05);

/** For each history and each of its points: the largest score in each cell. */
const scored: number[][][][] = [];
const cells = counts.map(() =>
  Array.from({ length: columns }, () => ({ points: 0, alarms: grid.map(() => 0) })),
);
families.forEach((family, f) => {
  for (let i = 0; i < Number(args.histories); i++) {
    const watch = new ChangeWatch();
    const here: number[][][] = [];
    scored.push(here);
    const until = cells.map((row) => row.map(() => grid.map(() => 0)));
    history(family, Number(args.seed) + f * 100_000 + i, Number(args.points)).forEach((value, at) => {
      watch.add({ value });
      // Points of the history before the shortest of the tests at this point.
      const before = at + 1 - (lengths[0] as number);
      const most = cells.map((row) => row.map(() => 0));
      for (const scan of watch.scan()) {
        const row = most[counts.findLastIndex((least) => scan.count >= least)] as number[];
        const column = columnOf(scan.length);
        row[column] = Math.max(row[column] as number, heldPoints(scan) > 0 ? Math.abs(scan.score) : 0);
      }
      here.push(most);
      for (const [r, row] of cells.entries())
        for (const [c, cell] of row.entries()) {
          if (r === counts.findLastIndex((least) => before >= least)) cell.points++;
          const score = most[r]?.[c] as number;
          const free = until[r]?.[c] as number[];
          for (let g = 0; g < grid.length && score > (grid[g] as number); g++) {
            if (at < (free[g] as number)) continue;
            cell.alarms[g]!++;
            free[g] = at + deadPoints;
          }
        }
    });
  }
  console.error(`${family.name}: ${args.histories} histories`);
});

/** The score at which the tail of the alarms' rate falls to `wanted` a point: least squares of log rate on score^2. */
function scoreFor({ points, alarms }: { points: number; alarms: number[] }, wanted: number): number {
  const tail = grid
    .map((score, g) => ({
      x: score * score,
      y: Math.log((alarms[g] as number) / points),
      n: alarms[g] as number,
    }))
    .filter(({ n, y }) => n >= 8 && y < Math.log(1 / 200));
  const sum = tail.reduce((total, { n }) => total + n, 0);
  const mx = tail.reduce((total, { x, n }) => total + n * x, 0) / sum;
  const my = tail.reduce((total, { y, n }) => total + n * y, 0) / sum;
  const slope =
    tail.reduce((total, { x, y, n }) => total + n * (x - mx) * (y - my), 0) /
    tail.reduce((total, { x, n }) => total + n * (x - mx) ** 2, 0);
  return Math.sqrt(mx + (Math.log(wanted) - my) / slope);
}

/** Alarms a point where each threshold is multiplied by `factor`. */
function jointRate(table: readonly (readonly number[])[], factor: number): number {
  let [alarms, total] = [0, 0];
  for (const here of scored) {
    let free = 0;
    for (const [at, most] of here.entries()) {
      total++;
      const over = most.some((row, r) => row.some((score, c) => score > factor * (table[r]?.[c] as number)));
      if (!over || at < free) continue;
      alarms++;
      free = at + deadPoints;
    }
  }
  return alarms / total;
}

for (const rate of rates) {
  const table = cells.map((row) => row.map((cell, c) => scoreFor(cell, (shares[c] as number) / rate)));
  let [low, high] = [0.7, 1.3];
  for (let turn = 0; turn < 20; turn++) {
    const middle = (low + high) / 2;
    if (jointRate(table, middle) > aim / rate) low = middle;
    else high = middle;
  }
  const rows = table.map((row) => row.map((score) => Number((high * score).toFixed(2))));
  console.log(`  ${rate}: ${JSON.stringify(rows)}, // factor ${high.toFixed(3)}`);
}
