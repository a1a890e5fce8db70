import fc from 'fast-check';
import t from 'tap';
import { Xoshiro128 } from '../../daemon/core/rng.js';
import { accuracyDifference, accuracyOf, proportionInterval } from '../../daemon/predict/proportions.js';

/** `right` ones, then zeros. */
const answers = (right: number, n: number): Uint8Array => new Uint8Array(n).fill(1, 0, right);
/** Two networks of `n` images: `b` only the first got right, `c` only the second. */
const pair = (b: number, c: number, n: number) =>
  accuracyDifference({ float: answers(b, n) }, { float: new Uint8Array(n).fill(1, b, b + c) });

/** Natural logarithms of 0! to 400!, summed up: no part of what is tested. */
const logFactorials = Array.from({ length: 401 }, () => 0);
for (let i = 1; i < logFactorials.length; i++) logFactorials[i] = logFactorials[i - 1]! + Math.log(i);
const logPower = (p: number, k: number): number => (k === 0 ? 0 : k * Math.log(p));

t.test('intervals are those that were published', (t) => {
  const near = (found: readonly number[], wanted: readonly number[], digits: number): void => {
    t.ok(
      found.every((value, i) => Math.abs(value - wanted[i]!) <= 0.5001 * 10 ** -digits),
      `${found} is ${wanted}`,
    );
  };
  // Newcombe (1998), Statistics in Medicine 17:857, table I, Clopper and Pearson.
  near(proportionInterval(81, 263), [0.2527, 0.3676], 4);
  near(proportionInterval(15, 148), [0.0578, 0.1617], 4);
  near(proportionInterval(0, 20), [0, 0.1684], 4);
  near(proportionInterval(1, 29), [0.0009, 0.1776], 4);
  // Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables (2017), chapters 2 and 8.
  near(proportionInterval(13, 16), [0.5435, 0.9595], 4);
  near(pair(1, 7, 21).ci, [-0.5084, -0.0134], 4);
  near(pair(6, 16, 161).ci, [-0.1195, -0.0032], 4);
  t.same(proportionInterval(20, 20), [1 - proportionInterval(0, 20)[1], 1]);
  for (const [right, n] of [
    [1, 0],
    [-1, 5],
    [6, 5],
    [Number.NaN, 5],
  ] as const)
    t.throws(() => proportionInterval(right, n), RangeError);
  t.throws(() => accuracyDifference({ float: answers(1, 4) }, { float: answers(1, 5) }), RangeError);
  const [long, short] = [answers(1, 3), answers(1, 2)];
  t.throws(
    () => accuracyDifference({ float: answers(1, 4), own: long }, { float: answers(1, 4), own: short }),
    RangeError,
  );
  t.end();
});

t.test('an accuracy lies in its interval in at least 95 % of cases, however near to 0 or 1', (t) => {
  const shares = [0.001, 0.01, 0.05, 0.2, 0.5, 0.731, 0.9, 0.97, 0.99, 0.999];
  const conservative: number[] = [];
  for (const n of [5, 25, 100, 400]) {
    const intervals = Array.from(
      { length: n + 1 },
      (_, right) => accuracyOf({ float: answers(right, n) }).ci,
    );
    for (const p of shares) {
      let covered = 0;
      intervals.forEach(([low, high], k) => {
        const ways = logFactorials[n]! - logFactorials[k]! - logFactorials[n - k]!;
        if (low <= p && p <= high) covered += Math.exp(ways + logPower(p, k) + logPower(1 - p, n - k));
      });
      t.ok(covered >= 0.95 - 1e-9, `${n} images, share ${p}: ${covered}`);
      if (n === 400 && p > 0.05 && p < 0.95) conservative.push(covered);
    }
  }
  t.ok(Math.max(...conservative) < 0.97, 'and hardly wider than it needs be where there are enough images');
  t.end();
});

t.test('a difference on the same images lies in its interval in 95 % of cases', (t) => {
  const all: number[] = [];
  for (const n of [10, 25, 100]) {
    const intervals = new Map<string, readonly number[]>();
    for (let b = 0; b <= n; b++)
      for (let c = 0; b + c <= n; c++) intervals.set(`${b} ${c}`, pair(b, c, n).ci);
    for (const p of [0, 0.005, 0.02, 0.1, 0.3, 0.6])
      for (const q of [0, 0.01, 0.05, 0.2, 0.4]) {
        let covered = 0;
        for (let b = 0; b <= n; b++)
          for (let c = 0; b + c <= n; c++) {
            const rest = n - b - c;
            const ways = logFactorials[n]! - logFactorials[b]! - logFactorials[c]! - logFactorials[rest]!;
            const chance = Math.exp(ways + logPower(p, b) + logPower(q, c) + logPower(1 - p - q, rest));
            const [low, high] = intervals.get(`${b} ${c}`)!;
            if (low! <= p - q + 1e-12 && p - q <= high! + 1e-12) covered += chance;
          }
        all.push(covered);
        t.ok(covered >= 0.93, `${n} images, only the first ${p}, only the second ${q}: ${covered}`);
      }
  }
  t.ok(all.reduce((sum, one) => sum + one, 0) / all.length >= 0.95, 'on average at least nominal');
  t.end();
});

/** Two networks that share most of what is hard for them, and what int8 changes of each. */
function drawn(rng: Xoshiro128, { n, own, right, lost, gained }: Readonly<Record<string, number>>) {
  const flip = (share: number): boolean => rng.next() < share;
  const a = Uint8Array.from({ length: n! }, () => (flip(right!) ? 1 : 0));
  const b = a.map((one) => (flip(0.03) ? 1 - one : one));
  const changed = (float: Uint8Array): Uint8Array =>
    float.subarray(0, own).map((one) => (one === 1 ? (flip(lost!) ? 0 : 1) : flip(gained!) ? 1 : 0));
  return [
    { float: a, own: changed(a) },
    { float: b, own: changed(b) },
  ] as const;
}

t.test('int8 on a part of the images: both errors are in the interval', (t) => {
  const runs = 1500;
  // Three standard errors of a simulated coverage.
  const least = 0.95 - 3 * Math.sqrt((0.95 * 0.05) / runs);
  const cases = [
    { n: 2000, own: 25, right: 0.9, lost: 0.2, gained: 0.05 },
    { n: 2000, own: 500, right: 0.93, lost: 0.02, gained: 0.05 },
    { n: 500, own: 100, right: 0.8, lost: 0.05, gained: 0.03 },
    { n: 300, own: 300, right: 0.95, lost: 0.03, gained: 0.1 },
  ];
  for (const one of cases) {
    const rng = Xoshiro128.fromSeed(one.own);
    const { right, lost, gained } = one;
    const other = right * 0.97 + (1 - right) * 0.03;
    const [truth, otherTruth] = [right, other].map((p) => p * (1 - lost) + (1 - p) * gained) as [
      number,
      number,
    ];
    let [single, difference] = [0, 0];
    const holds = ([low, high]: readonly [number, number], value: number): number =>
      low <= value && value <= high ? 1 : 0;
    for (let run = 0; run < runs; run++) {
      const [a, b] = drawn(rng, one);
      single += holds(accuracyOf(a).ci, truth);
      difference += holds(accuracyDifference(a, b).ci, truth - otherTruth);
    }
    const told = JSON.stringify(one);
    t.ok(single / runs >= least, `${told}: ${single / runs}`);
    t.ok(difference / runs >= least, `${told}: the difference ${difference / runs}`);
  }
  t.end();
});

t.test('one device runs int8 on all images, the other the float network', (t) => {
  const a = { float: [1, 1, 0, 0], own: [0, 1, 0, 0] };
  const b = { float: [1, 1, 1, 0] };
  t.equal(accuracyDifference(a, b).value, -0.5);
  t.equal(accuracyDifference(b, a).value, 0.5, 'the other way round');
  t.equal(accuracyDifference(a, a).value, 0);
  // On a part of the images: what int8 loses there is taken from all.
  t.equal(accuracyDifference({ ...a, own: [0, 1] }, b).value, 0.5 - 0.5 - 0.75);
  for (const wrong of [{ float: [] }, { float: [1, 0] }, { float: [1, 1, 0, 0], own: [1, 1, 0] }])
    t.throws(() => accuracyDifference(a, wrong), RangeError);
  t.throws(() => accuracyDifference({ float: [1], own: [1, 0] }, { float: [1] }), RangeError);
  t.end();
});

t.test('any answers: an interval holds its value, and a difference is that of the accuracies', (t) => {
  const bit = fc.integer({ min: 0, max: 1 });
  const input = fc.integer({ min: 1, max: 60 }).chain((n) =>
    fc.integer({ min: 0, max: n }).chain((own) => {
      const list = (length: number) => fc.array(bit, { minLength: length, maxLength: length });
      return fc.record({ a: list(n), b: list(n), ownA: list(own), ownB: list(own) });
    }),
  );
  const close = (x: number, y: number): boolean => Math.abs(x - y) < 1e-9;
  const inside = ({ value, ci }: ReturnType<typeof accuracyOf>, least: number): boolean =>
    least - 1e-12 <= ci[0] && ci[0] <= value + 1e-12 && value <= ci[1] + 1e-12 && ci[1] <= 1 + 1e-12;
  fc.assert(
    fc.property(input, ({ a, b, ownA, ownB }) => {
      const [x, y] = [
        { float: a, own: ownA.length > 0 ? ownA : undefined },
        { float: b, own: ownB.length > 0 ? ownB : undefined },
      ] as const;
      const [p, q, d, back] = [
        accuracyOf(x),
        accuracyOf(y),
        accuracyDifference(x, y),
        accuracyDifference(y, x),
      ];
      const mean = (list: readonly number[]): number => list.reduce((sum, one) => sum + one, 0) / list.length;
      const m = ownA.length;
      const raw = mean(a) + (m > 0 ? mean(ownA) - mean(a.slice(0, m)) : 0);
      return (
        inside(p, 0) &&
        inside(q, 0) &&
        inside(d, -1) &&
        close(p.value, Math.min(1, Math.max(0, raw))) &&
        close(d.value, -back.value) &&
        close(d.ci[0], -back.ci[1]) &&
        accuracyDifference(x, x).value === 0
      );
    }),
    { numRuns: 1000 },
  );
  t.end();
});
