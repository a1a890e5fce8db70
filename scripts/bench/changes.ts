/**
 * `npm run bench -- changes [--histories N] [--seed S] [--family NAME] [--peers N]`: synthetic histories of 200 points with 1 % noise,
 * a slow season and changing variance. Figures of the family `bar` (tails of Student's t with 3 and 4 degrees): the share of 3 % steps
 * found within 5 points (`power3`) and of 1.5 % steps within 15 (`power15`), with the right direction; false alarms in
 * 2,000 unchanged points; histories of 200 in which an episode of throttling (2 to 7 points slow by 5 to 20 %, then back)
 * or a single outlier (5 to 30 %, two of three slow) adds a report. Then the same for other families, with their names.
 * Peers see the same data; the threshold of each is set to hilda's false alarms in the same histories, or to
 * the bar's one in 2,000 where hilda has fewer. `--peers 0` leaves them out.
 */
import { parseArgs } from 'node:util';
import { ChangeWatch, findChanges } from '../../daemon/predict/changes/watch.js';
import { fivePercent, peers } from './parts/changes/peers.js';
import { barFamily, type Family, history, otherFamilies, type Put } from './parts/changes/series.js';
import type { Watcher } from './parts/changes/watcher.js';

const { values: args } = parseArgs({
  options: {
    histories: { type: 'string', default: '400' },
    seed: { type: 'string', default: '1' },
    family: { type: 'string' },
    peers: { type: 'string' },
  },
});
const histories = Number(args.histories);
const peerHistories = Math.min(histories, Number(args.peers ?? histories));
const points = 200;
const seed = 10_000_000 * Number(args.seed);

class Hilda implements Watcher {
  readonly #watch = new ChangeWatch();

  push(value: number): number {
    const event = this.#watch.push({ value });
    return event?.kind === 'changed' ? Math.sign(Math.log(event.change.ratio)) : 0;
  }
}

/** Positions and directions of the alarms. */
function alarmsOf(make: () => Watcher, values: readonly number[]): { at: number; sign: number }[] {
  const watcher = make();
  return values.flatMap((value, at) => {
    const sign = watcher.push(value);
    return sign === 0 ? [] : [{ at, sign }];
  });
}

const indices = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const share = (of: (i: number) => boolean, n: number): number => indices(n).filter(of).length / n;

/** Alarms in each unchanged history. */
const unchanged = (make: () => Watcher, family: Family, n: number): number[] =>
  indices(n).map((i) => alarmsOf(make, history(family, seed + i, points)).length);

const per2000 = (alarms: readonly number[]): number =>
  (2000 * alarms.reduce((sum, one) => sum + one, 0)) / (alarms.length * points);

/** Steps at points 40 to 179, up and down in turns. */
function power(make: () => Watcher, family: Family, height: number, within: number, n: number): number {
  return share((i) => {
    const at = 40 + ((i * 37) % 140);
    const size = i % 2 === 0 ? height : -height;
    const values = history(family, seed + 1_000_000 + i, at + within, { step: { at, size } });
    return alarmsOf(make, values).some((alarm) => alarm.at >= at && alarm.sign === Math.sign(size));
  }, n);
}

/** Histories of 200 in which what is put in adds a report to those of the unchanged history. */
const added = (
  make: () => Watcher,
  family: Family,
  base: readonly number[],
  put: (i: number) => Put,
): number =>
  200 *
  share(
    (i) => alarmsOf(make, history(family, seed + i, points, put(i))).length > (base[i] as number),
    base.length,
  );

const place = (i: number): number => 30 + ((i * 53) % 150);
const episode =
  (shortest: number, longest: number) =>
  (i: number): Put => ({
    episode: {
      at: place(i),
      points: shortest + (i % (longest - shortest + 1)),
      size: 0.05 + (0.15 * ((i * 7) % 31)) / 30,
    },
  });
const outlier = (i: number): Put => ({
  outliers: [{ at: place(i), size: (i % 3 === 2 ? -1 : 1) * (0.05 + (0.25 * ((i * 11) % 31)) / 30) }],
});

/** Of the 3 % steps that were found: shares whose interval of the size, and of the time, holds what was put in. */
function coverage(family: Family, n: number): { sizeCoverage: number; timeCoverage: number } {
  const found = indices(n).flatMap((i) => {
    const at = 40 + ((i * 37) % 140);
    const values = history(family, seed + 1_000_000 + i, at + 15, { step: { at, size: 0.03 } });
    const change = findChanges(values.map((value) => ({ value }))).find(
      ({ foundAt, ratio }) => foundAt >= at && ratio > 1,
    );
    return change ? [{ change, at }] : [];
  });
  const held = (of: (one: (typeof found)[number]) => boolean): number =>
    found.filter(of).length / found.length;
  return {
    sizeCoverage: held(({ change: { ratioCi } }) => ratioCi[0] <= 1.03 && 1.03 <= ratioCi[1]),
    timeCoverage: held(
      ({ change: { sinceInterval }, at }) => sinceInterval[0] <= at && at <= sinceInterval[1],
    ),
  };
}

function figuresOf(make: () => Watcher, family: Family, n: number): Record<string, number> {
  const base = unchanged(make, family, n);
  const throttled = added(make, family, base, episode(2, 7));
  const single = added(make, family, base, outlier);
  return {
    power3: power(make, family, 0.03, 5, n),
    power15: power(make, family, 0.015, 15, n),
    falseAlarmsPer2000: per2000(base),
    episodes: Math.max(throttled, single),
    throttled,
    single,
    power10in5: power(make, family, 0.1, 5, n),
    power10in8: power(make, family, 0.1, 8, n),
  };
}

/** The threshold, by halving, whose false alarms come nearest to the wanted ones from above. */
function thresholdFor(
  make: (threshold: number) => Watcher,
  [low, high]: readonly [number, number],
  wanted: number,
): number {
  let [few, many] = [high, low];
  for (let turn = 0; turn < 9; turn++) {
    const middle = (few + many) / 2;
    if (per2000(unchanged(() => make(middle), barFamily, peerHistories)) > wanted) many = middle;
    else few = middle;
  }
  return many;
}

const round = (record: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, Number(value.toFixed(4))]));
const show = (name: string, record: Record<string, number>): void =>
  console.log(`${name.padEnd(18)} ${JSON.stringify(round(record))}`);

const figures: Record<string, number> = {};
const hilda = (): Watcher => new Hilda();
if (!args.family || args.family === barFamily.name) {
  const own: Record<string, number> = {
    ...figuresOf(hilda, barFamily, histories),
    ...coverage(barFamily, histories),
  };
  Object.assign(figures, own);
  show('hilda, bar', own);
  if (peerHistories > 0) {
    const asIs = figuresOf(fivePercent, barFamily, peerHistories);
    show('fixed 5 %, bar', asIs);
    for (const [name, value] of Object.entries(asIs)) figures[`fixed5.${name}`] = value;
    const wanted = Math.max(1, own.falseAlarmsPer2000 as number);
    for (const { name, range, make } of peers) {
      const threshold = thresholdFor(make, range, wanted);
      const peer = figuresOf(() => make(threshold), barFamily, peerHistories);
      show(`${name} at ${threshold.toPrecision(3)}`, peer);
      for (const [figure, value] of Object.entries(peer)) figures[`${name}.${figure}`] = value;
    }
  }
}
for (const family of otherFamilies) {
  if (args.family && args.family !== family.name) continue;
  const own = figuresOf(hilda, family, Math.ceil(histories / 2));
  show(family.name, own);
  for (const [name, value] of Object.entries(own)) figures[`${family.name}.${name}`] = value;
}
console.log(
  JSON.stringify({ bench: 'changes', figures: { ...round(figures), histories, seed: Number(args.seed) } }),
);
