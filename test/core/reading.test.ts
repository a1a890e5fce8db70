import t from 'tap';
import { fromHalf, toHalf } from '../../daemon/core/half.js';
import { metricTitle } from '../../daemon/core/metric-title.js';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatInterval,
  formatLatency,
  formatMetric,
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
  ];
  for (const [shown, expected] of table) t.equal(shown, expected);
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
