import fc from 'fast-check';
import t from 'tap';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import type { SeriesPoint } from '../../daemon/predict/changes/contract.js';
import { noiseFloor, relativeScales } from '../../daemon/predict/changes/noise.js';
import { locationOf, studentQuantile } from '../../daemon/predict/changes/student.js';
import { thresholdOf } from '../../daemon/predict/changes/thresholds.js';
import { ChangeWatch, findChanges } from '../../daemon/predict/changes/watch.js';
import { whenBegan } from '../../daemon/predict/changes/when.js';

/** Noise of 1 % with the tails of Student's t with four degrees, a season of 0.5 %, and what `shape` multiplies. */
function series(seed: number, points: number, shape: (at: number) => number = () => 1): number[] {
  const rng = Xoshiro128.fromSeed(seed);
  return Array.from({ length: points }, (_, at) => {
    const squares = [0, 1, 2, 3].reduce((sum) => sum + gaussian(rng) ** 2, 0);
    const noise = (0.01 * gaussian(rng)) / Math.sqrt(squares / 4) / Math.SQRT2;
    return 250 * (1 + noise + 0.005 * Math.sin(at / 30)) * shape(at);
  });
}
const points = (values: readonly number[]): SeriesPoint[] => values.map((value) => ({ value }));
const step =
  (from: number, ratio: number) =>
  (at: number): number =>
    at >= from ? ratio : 1;
const seeds = Array.from({ length: 12 }, (_, i) => 100 + i);

t.test('a step is reported once, in time, with its size and its time', (t) => {
  let [inTime, sized, dated, extra] = [0, 0, 0, 0];
  for (const seed of seeds) {
    const ratio = seed % 2 === 0 ? 1.03 : 0.97;
    const changes = findChanges(points(series(seed, 160, step(90, ratio))));
    const hit = changes.find(({ foundAt, ratio: found }) => foundAt >= 90 && found > 1 === ratio > 1);
    extra += changes.length - (hit ? 1 : 0);
    if (!hit) continue;
    if (hit.foundAt < 95) inTime++;
    if (hit.ratioCi[0] <= ratio && ratio <= hit.ratioCi[1]) sized++;
    if (hit.sinceInterval[0] <= 90 && 90 <= hit.sinceInterval[1]) dated++;
    t.equal(hit.cause, 'series');
  }
  t.ok(inTime >= 10, `${inTime} of 12 within five points`);
  t.ok(sized >= 10, `${sized} of 12 intervals hold the size`);
  t.ok(dated >= 10, `${dated} of 12 intervals hold the time`);
  t.ok(extra <= 3, `${extra} others in 1,920 points`);
  t.end();
});

t.test('small steps are found in more points, and unchanged series seldom alarm', (t) => {
  const found = seeds.filter((seed) =>
    findChanges(points(series(seed, 130, step(100, 1.02)))).some(
      ({ foundAt, ratio }) => foundAt >= 100 && ratio > 1,
    ),
  );
  t.ok(found.length >= 10, `${found.length} of 12 steps of 2 % within 30 points`);
  const alarms = seeds.reduce((sum, seed) => sum + findChanges(points(series(seed, 200))).length, 0);
  t.ok(alarms <= 4, `${alarms} alarms in 2,400 points`);
  t.end();
});

t.test('neither the unit nor the direction matters', (t) => {
  const changed = (seed: number): number[] => series(seed, 150, step(80, 1.04));
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.double({ min: 1e-9, max: 1e9, noNaN: true }),
      (seed, unit) => {
        const values = changed(seed);
        const [plain, scaled, mirrored] = [
          findChanges(points(values)),
          findChanges(points(values.map((value) => value * unit))),
          findChanges(points(values.map((value) => 1 / value)), { worse: 'down' }),
        ];
        t.same(
          scaled.map(({ since, foundAt }) => [since, foundAt]),
          plain.map(({ since, foundAt }) => [since, foundAt]),
        );
        t.same(
          mirrored.map(({ since, foundAt }) => [since, foundAt]),
          plain.map(({ since, foundAt }) => [since, foundAt]),
        );
        plain.forEach(({ ratio }, i) => {
          t.match(scaled[i]?.ratio.toFixed(6), ratio.toFixed(6));
          t.match((1 / (mirrored[i]?.ratio as number)).toFixed(6), ratio.toFixed(6));
        });
      },
    ),
    { numRuns: 6, seed: 7 },
  );
  t.end();
});

t.test('what was said at a point does not depend on later points', (t) => {
  const all = points(series(5, 170, (at) => step(60, 1.05)(at) * step(120, 0.94)(at)));
  const whole = findChanges(all).map(({ since, foundAt, ratio }) => ({ since, foundAt, ratio }));
  t.ok(whole.length >= 2);
  for (const end of [70, 110, 128, 150]) {
    const early = findChanges(all.slice(0, end)).map(({ since, foundAt, ratio }) => ({
      since,
      foundAt,
      ratio,
    }));
    t.same(
      early,
      whole.filter(({ foundAt }) => foundAt < end),
    );
  }
  t.end();
});

t.test('series without noise, rounded and short ones', (t) => {
  const constant = Array.from({ length: 120 }, () => 42);
  t.same(findChanges(points(constant)), []);
  t.same(findChanges(points([7])), []);
  t.same(findChanges([]), []);
  const [one] = findChanges(points(constant.map((value, at) => value * step(50, 1.01)(at))));
  t.match(one, { since: 50, sinceInterval: [50, 50], foundAt: 54 });
  t.equal(one?.ratio.toFixed(4), '1.0100');
  const [ten, ...others] = findChanges(points(series(3, 120, step(60, 10))));
  t.match(ten, { since: 60 });
  t.ok(Math.abs((ten?.ratio as number) - 10) < 0.3);
  t.same(others, []);
  // Whole milliseconds near 100: neighbours are equal or 1 % apart.
  const rounded = (shape: (at: number) => number): SeriesPoint[] =>
    points(series(9, 150, shape).map((value) => Math.round(value / 2.5)));
  t.ok(findChanges(rounded(() => 1)).length <= 1);
  t.ok(findChanges(rounded(step(70, 1.04))).some(({ since }) => Math.abs(since - 70) <= 1));
  // Two values in turns are noise, however regular.
  t.same(findChanges(points(constant.map((value, at) => value + (at % 2)))), []);
  t.end();
});

t.test('an episode is suspected and not reported; a long one is closed when it ends', (t) => {
  for (const length of [1, 2, 4, 7]) {
    const reported = seeds.filter((seed) => {
      const calm = findChanges(points(series(seed, 150))).length;
      const slow = (at: number): number => (at >= 80 && at < 80 + length ? 1.12 : 1);
      return findChanges(points(series(seed, 150, slow))).length > calm;
    });
    t.ok(reported.length <= 1, `${reported.length} of 12 episodes of ${length} points`);
  }
  const watch = new ChangeWatch();
  const kinds: string[] = [];
  let suspected = false;
  series(4, 140, (at) => (at >= 80 && at < 94 ? 1.12 : 1)).forEach((value, at) => {
    const event = watch.push({ value });
    if (event && at >= 80) kinds.push(event.kind);
    if (at === 85) {
      suspected = watch.suspicion !== undefined;
      t.match(watch.suspicion, { since: 80, pointsMissing: 2 });
    }
  });
  t.ok(suspected);
  t.same(kinds, ['changed', 'returned']);
  t.match(watch.changes.at(-1), { since: 80, returnedAt: 94 });
  t.end();
});

t.test('a reference tells a slow machine from a slow network', (t) => {
  const slow = step(80, 1.12);
  const [values, references] = [series(21, 120, slow), series(22, 120)];
  const still = findChanges(values.map((value, at) => ({ value, reference: references[at] as number })));
  t.match(still, [{ since: 80, foundAt: 84, cause: 'series' }]);
  const along = findChanges(
    values.map((value, at) => ({ value, reference: (references[at] as number) * slow(at) })),
  );
  t.match(along, [{ since: 80, foundAt: 87, cause: 'machine' }]);
  t.match(findChanges(points(values)), [{ since: 80, foundAt: 87, cause: 'series' }]);
  t.end();
});

t.test('missing points keep their place, and wide intervals count less', (t) => {
  const values = series(31, 200, step(120, 1.05));
  const gaps = values.map((value, at) => (at % 3 === 1 ? null : { value }));
  const late = findChanges(gaps).filter(({ foundAt }) => foundAt >= 120);
  t.equal(late.length, 1);
  t.ok(Math.abs((late[0]?.since as number) - 120) <= 1 && (late[0]?.foundAt as number) <= 132);
  const sixSlow = series(32, 100, step(94, 1.03));
  const said = (standardError: number): number =>
    findChanges(sixSlow.map((value, at) => ({ value, standardError: at >= 94 ? standardError : 0.004 })))
      .length;
  t.equal(said(0.004), 1);
  t.equal(said(0.05), 0, 'points whose intervals are twelve times as wide show nothing');
  // Intervals of zero width are possible: counts.
  t.equal(findChanges(sixSlow.map((value) => ({ value, standardError: 0 }))).length, 1);
  t.end();
});

t.test('what is no measurement is refused', (t) => {
  const watch = new ChangeWatch();
  for (const value of [Number.NaN, 0, -1, Number.POSITIVE_INFINITY])
    t.throws(() => watch.push({ value }), RangeError);
  for (const standardError of [-0.1, Number.POSITIVE_INFINITY])
    t.throws(() => watch.push({ value: 1, standardError }), RangeError);
  for (const reference of [0, -1, Number.POSITIVE_INFINITY])
    t.throws(() => watch.push({ value: 1, reference }), RangeError);
  t.end();
});

t.test('parts', (t) => {
  t.equal(locationOf([1, 1, 1, 1, 50], [1, 1, 1, 1, 1]).toFixed(2), '1.02', '5d = 5 * 49 / (4 + 49^2)');
  t.equal(locationOf([3], [1]), 3);
  // Tables of Student's t: 2.776, 2.228, 2.042.
  t.same(
    [4, 10, 30].map((degrees) => studentQuantile(degrees).toFixed(2)),
    ['2.77', '2.23', '2.04'],
  );
  t.same(
    whenBegan(
      [0, 0, 0, 5, 5, 5],
      [1, 1, 1, 1, 1, 1].map((x) => x / 10),
      5,
    ),
    {
      since: 3,
      interval: [3, 3],
    },
  );
  const vague = whenBegan([0, 0.1, 0.4, 0.6, 1, 0.9], [1, 1, 1, 1, 1, 1], 1);
  t.ok(vague.interval[1] - vague.interval[0] >= 3, 'a step of one deviation is not dated by six points');
  t.equal(noiseFloor([1, 1, 1]), 2e-4);
  t.equal(noiseFloor([0, 0, 0, 0.1, 0.1, 0.1]).toFixed(4), '0.0290');
  t.equal(noiseFloor([1, 2, 3, 4, 5.5]), 2e-4, 'values without ties are not rounded');
  t.same(Array.from(relativeScales([Number.NaN, Number.NaN], 0, 0.01)), [1, 1]);
  // 1 % in all, 0.5 % of it within: 0.87 % between sessions; an interval of 2 % then gives 2.18 %.
  const wide = relativeScales([0.005, Number.NaN, 0.005, 0.02], 0.005, 0.01);
  t.equal(wide[0]?.toFixed(3), '1.000');
  t.equal(wide[3]?.toFixed(3), '2.179');
  for (const [length, count] of [
    [5, 10],
    [5, 100],
    [12, 10],
    [12, 30],
    [12, 100],
  ] as const) {
    t.ok(thresholdOf(length, count, 1000) < thresholdOf(length, count, 2000));
    t.ok(thresholdOf(length, count, 2000) < thresholdOf(length, count, 5000));
  }
  t.end();
});
