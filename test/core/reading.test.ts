import t from 'tap';
import { besideLimit, shareBesideLimit } from '../../daemon/core/beside-limit.js';
import {
  differenceText,
  evaluatedText,
  notApartText,
  sourceLines,
} from '../../daemon/core/comparison-words.js';
import { fromHalf, toHalf } from '../../daemon/core/half.js';
import { findId } from '../../daemon/core/id-beginnings.js';
import { differenceInterval, isApart, sumInterval } from '../../daemon/core/intervals.js';
import { metricTitle } from '../../daemon/core/metric-title.js';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatInterval,
  formatLatency,
  formatMetric,
  formatShareInterval,
} from '../../daemon/core/quantities.js';

t.test('quantities read in the unit of their size', (t) => {
  const table: [shown: string, expected: string][] = [
    [formatLatency(9.994), '9.99 us'],
    [formatLatency(999.4), '999 us'],
    [formatLatency(1000), '1.000 ms'],
    [formatInterval([98, 1020]), '98.0 us to 1.020 ms'],
    [formatBytes(0), '0 B'],
    [formatBytes(1023), '1023 B'],
    [formatBytes(1024), '1.0 KiB'],
    [formatBytes(3 * 1024 ** 4), '3072.0 GiB'],
    [formatCount(999), '999'],
    [formatCount(1000), '1.0 k'],
    [formatCount(2_933_688), '2.93 M'],
    [formatDuration(null), 'unknown'],
    [formatDuration(59_499), '59 s'],
    [formatDuration(60_000), '1 min 0 s'],
    [formatDuration(3_660_000), '1 h 1 min'],
    [formatMetric('accuracy', undefined), '-'],
    [formatMetric('accuracy@pico', 0.885), '88.50 %'],
    [formatMetric('peakRamBytes@pico', 2048), '2.0 KiB'],
    [formatMetric('latencyUs', 20.5), '20.5 us'],
    [formatMetric('cycles', 12_345), '12.3 k'],
    [formatMetric('energy', 1.23456), '1.235'],
    // Digits follow the interval: half-widths of 12, 4, 1.2, 0.6, 0.12 and 0.04 %.
    [formatMetric('accuracy', 0.8937, [0.75, 0.99]), '89 %'],
    [formatMetric('accuracy', 0.8937, [0.85, 0.93]), '89 %'],
    [formatMetric('accuracy', 0.8937, [0.882, 0.906]), '89.4 %'],
    [formatMetric('accuracy', 0.8937, [0.8879, 0.8999]), '89.4 %'],
    [formatMetric('accuracy', 0.89374, [0.8925, 0.8949]), '89.37 %'],
    [formatMetric('accuracy', 0.89374, [0.8933, 0.8941]), '89.37 %'],
    [formatMetric('accuracy', 0.89374, null), '89.37 %'],
    [formatMetric('accuracy', 0.89374, [0.89374, 0.89374]), '89.37 %'],
    [formatShareInterval([0.75, 0.992]), '75 to 99'],
    [formatShareInterval([0.9179, 0.9408]), '91.8 to 94.1'],
  ];
  for (const [shown, expected] of table) t.equal(shown, expected);
  t.end();
});

t.test('the interval of a difference is not the overlap of two intervals', (t) => {
  // Zou and Donner (2008): with equal half-widths h the difference has h times the root of 2.
  const [a, b] = [
    { value: 10, ci: [9, 11] },
    { value: 8.5, ci: [7.5, 9.5] },
  ] as const;
  const [low, high] = differenceInterval(a, b);
  t.ok(Math.abs(low - (1.5 - Math.SQRT2)) < 1e-12 && Math.abs(high - (1.5 + Math.SQRT2)) < 1e-12);
  t.ok(isApart([low, high]) && a.ci[0] < b.ci[1], 'they overlap, and are apart');
  t.notOk(isApart(differenceInterval(a, { value: 8.7, ci: [7.7, 9.7] })));
  t.same(differenceInterval(b, a), [-high, -low]);
  const skewed = differenceInterval({ value: 5, ci: [4, 9] }, { value: 1, ci: [-2, 1.5] });
  t.same(skewed, [4 - Math.hypot(1, 0.5), 4 + Math.hypot(4, 3)], 'each side by what pushes it there');
  t.same(sumInterval({ value: 5, ci: [4, 9] }, { value: 1, ci: [-2, 1.5] }), [
    6 - Math.hypot(1, 3),
    6 + Math.hypot(4, 0.5),
  ]);
  t.end();
});

t.test('what cannot be told apart is said in words', (t) => {
  const evidence = (ci: readonly [number, number] | null) => ({
    accuracy: { ci, images: 25, compared: null, source: 'fashion-mnist, 25 images' },
  });
  const rows = [
    { values: { accuracy: 0.93, latencyUs: 100 }, provenance: 'measured', evidence: evidence([0.75, 0.99]) },
    { values: { accuracy: 0.89, latencyUs: 90 }, provenance: 'measured', evidence: evidence(null) },
  ] as const;
  const close = (metric: string, trialNumber: number, apart: boolean) =>
    ({ metric, trialNumber, difference: 0.04, ci: [-0.06, 0.14], basis: 'paired', apart }) as const;
  t.equal(evaluatedText('accuracy', rows[0].values, rows[0].evidence), '93 % (75 to 99)');
  t.equal(evaluatedText('accuracy', rows[1].values, rows[1].evidence), '89.00 %');
  t.equal(evaluatedText('toString', {}, rows[1].evidence), '-');
  t.equal(
    notApartText(
      [close('accuracy', 7, false), close('latencyUs', 7, true), close('accuracy', 5, false)],
      rows,
    ),
    'accuracy: trial 7 and 5',
  );
  t.equal(notApartText([close('accuracy', 7, true)], rows), '');
  t.equal(differenceText(close('accuracy', 7, false)), '+4 % (95 %: -6 to 14), image by image');
  t.same(sourceLines(rows), [
    'accuracy: fashion-mnist, 25 images',
    'accuracy: fashion-mnist, 25 images; no interval is known',
  ]);
  t.end();
});

t.test('a metric says what it is of, and never passes a count for a time', (t) => {
  const rows = (provenance: 'measured' | 'emulated', ...metrics: string[]) => [
    { provenance, values: Object.fromEntries(metrics.map((metric) => [metric, 1])) },
  ];
  const emulated = rows('emulated', 'cycles@pico', 'accuracy', 'accuracy@pico');
  const table: [shown: string, expected: string][] = [
    [metricTitle('latencyUs', rows('measured', 'latencyUs')), 'latency'],
    [metricTitle('cycles@pico', emulated, 'pico'), 'cycles (modelled)'],
    [metricTitle('cycles@pico', emulated), 'cycles (modelled) on pico'],
    [metricTitle('cycles', [...emulated, ...rows('measured')]), 'cycles'],
    [metricTitle('cycles', []), 'cycles'],
    [metricTitle('instructions', rows('emulated')), 'instructions (emulated)'],
    [metricTitle('accuracy', emulated), 'float accuracy'],
    [metricTitle('accuracy@pico', emulated, 'pico'), 'int8 accuracy'],
    [metricTitle('accuracy@pico', emulated), 'int8 accuracy on pico'],
    [metricTitle('accuracy', rows('measured', 'accuracy', 'floatAccuracy')), 'int8 accuracy'],
    [metricTitle('floatAccuracy', rows('measured', 'accuracy', 'floatAccuracy')), 'float accuracy'],
    [metricTitle('accuracy', rows('measured', 'accuracy')), 'accuracy'],
    [metricTitle('peakRamBytes@m7', rows('emulated'), 'm7'), 'peakRamBytes'],
  ];
  for (const [shown, expected] of table) t.equal(shown, expected);
  t.end();
});

t.test('half precision: every number comes back, others go to the nearest', (t) => {
  const back = Array.from({ length: 65536 }, (_, half) => half).filter((half) => {
    const value = fromHalf(half);
    return Number.isNaN(value) ? !Number.isNaN(fromHalf(toHalf(value))) : toHalf(value) !== half;
  });
  t.same(back, []);
  const table: [value: number, half: number][] = [
    [1, 0x3c00],
    [0.1, 0x2e66],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [65519.99, 0x7bff],
    [65520, 0x7c00],
    [-1e9, 0xfc00],
    [2 ** -25, 0],
    [1.001 * 2 ** -25, 1],
    [2 ** -14, 0x0400],
    [-0, 0x8000],
  ];
  for (const [value, half] of table) t.equal(toHalf(value), half, String(value));
  t.end();
});

t.test('a figure beside its limit reads as it was decided', (t) => {
  const table: [share: number, limit: number, figure: string, allowed: string][] = [
    [0.0196, 0.02, '1.96 %', '2.00 %'],
    [0.0204, 0.02, '2.04 %', '2.00 %'],
    [0.02, 0.02, '2.0 %', '2.0 %'],
    [0.01999999, 0.02, '1.999999 %', '2.000000 %'],
    [0.031, 0.02, '3.1 %', '2.0 %'],
    [1.1000001, 1.1, '110.00001 %', '110.00000 %'],
    [0, 0.02, '0.0 %', '2.0 %'],
    [Number.POSITIVE_INFINITY, 0.02, 'Infinity %', '2.0 %'],
  ];
  for (const [share, limit, figure, allowed] of table)
    t.same(shareBesideLimit(share, limit), { figure, limit: allowed }, `${share} beside ${limit}`);
  t.match(shareBesideLimit(Number.NaN, 0.02), { figure: 'NaN %' }, 'and ends');
  t.match(
    shareBesideLimit(0.1 + 0.2, 0.3),
    { limit: '30.000000000000 %' },
    'what floating point makes of equal ones',
  );
  const times = { decimals: 1, write: (value: number, digits: number) => `${value.toFixed(digits)} times` };
  t.same(besideLimit(2.52, 2.5, times), { figure: '2.52 times', limit: '2.50 times' });
  for (let i = 0; i < 500; i++) {
    const share = 0.02 + Math.sin(i) * 10 ** -(2 + (i % 8));
    const { figure, limit } = shareBesideLimit(share, 0.02);
    t.equal(Math.sign(Number.parseFloat(figure) - Number.parseFloat(limit)), Math.sign(share - 0.02));
  }
  t.end();
});

t.test('ids by their beginnings: counters are whole, keys are not', async (t) => {
  const ids = ['study-1', 'study-10', 'browser-312345', 'browser-9f2a91', 'fake-10', 'cpu-3f2a-x86'];
  const idOf = (word: string) => findId(ids, word);
  t.same(idOf('study-1'), { id: 'study-1' });
  t.same(idOf('browser-3123'), { id: 'browser-312345' }, 'a key of digits alone');
  t.same(idOf('browser-9'), { id: 'browser-9f2a91' });
  t.same(idOf('cpu'), { id: 'cpu-3f2a-x86' });
  t.same(idOf('fake-1'), { near: ['fake-10'] }, 'another device, though one alone begins so');
  t.same(idOf('browser'), { several: ['browser-312345', 'browser-9f2a91'] });
  t.same(idOf(''), { near: [] });
  t.same(findId(['cycles', 'latencyUs'], 'cycels'), { near: ['cycles'] }, 'two letters swapped are one slip');
  t.same(findId(['abcd'], 'badc'), { near: [] });
});
