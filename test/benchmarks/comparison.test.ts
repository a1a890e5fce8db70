import { spawnSync } from 'node:child_process';
import t from 'tap';
import { compareSeries } from '../../daemon/benchmarks/comparison/compare-series.js';
import { heldAgainst } from '../../daemon/benchmarks/comparison/limits.js';
import { estimateOf, pairedRatio, ratioOf } from '../../daemon/benchmarks/comparison/ratio.js';
import { reportOf } from '../../daemon/benchmarks/comparison/report.js';
import { type Series, seriesOf } from '../../daemon/benchmarks/comparison/series.js';
import { csvOf } from '../../daemon/benchmarks/reports/csv.js';
import { documentOf } from '../../daemon/benchmarks/reports/document.js';
import { junitOf } from '../../daemon/benchmarks/reports/junit.js';
import { markdownOf } from '../../daemon/benchmarks/reports/markdown.js';
import { fits, suiteSchema } from '../../daemon/benchmarks/suites/suite.js';
import type { Json } from '../../daemon/core/json.js';
import { gaussian, Xoshiro128 } from '../../daemon/core/rng.js';
import type { BenchmarkCaseRecord, BenchmarkRunRecord } from '../../daemon/store/benchmark-contract.js';
import type { MeasurementRecord } from '../../daemon/store/contract.js';
import { measurement as sample } from '../contract/store-samples.js';

/** A latency known to a standard deviation of its logarithm, over `freedom` degrees. */
function taken(us: number, deviation: number, more: Partial<MeasurementRecord> = {}): MeasurementRecord {
  const half = 1.96 * deviation;
  const latency = sample.latency as NonNullable<typeof sample.latency>;
  return {
    ...sample,
    id: `m${us}` as MeasurementRecord['id'],
    deviceId: 'pico' as MeasurementRecord['deviceId'],
    studyId: null,
    trialNumber: null,
    latency: {
      ...latency,
      normalisedUs: us,
      normalisedCiUs: [us * Math.exp(-half), us * Math.exp(half)],
      spread: { within: deviation, between: 0, regime: 0, freedom: 1e6, sessions: 1, repeats: 0 },
    },
    counts: null,
    ...more,
  };
}

const series = (network: string, place: string, ...all: MeasurementRecord[]): Series => ({
  network,
  place,
  taken: new Map(all.map((one, i) => [i, one])),
  cases: [],
});

const suite = (more: object = {}): Json =>
  suiteSchema.parse({
    suite: 'nightly',
    devices: ['pico'],
    networks: [{ space: 'x', samples: 1 }],
    ...more,
  }) as unknown as Json;

const run = (id: string, request: Json = suite()): BenchmarkRunRecord => ({
  id,
  kind: 'benchmark',
  request,
  state: 'done',
  done: 1,
  of: 1,
  progress: null,
  result: null,
  error: null,
  createdMs: Date.UTC(2026, 0, 1),
  endedMs: Date.UTC(2026, 0, 1, 0, 1),
  suite: 'nightly',
  specHash: id,
});

const options = { tail: 0.05, tolerance: 0.03 };
const between = (a: readonly MeasurementRecord[], b: readonly MeasurementRecord[]) => {
  const [before, now] = [estimateOf(a, 'latencyUs'), estimateOf(b, 'latencyUs')];
  if (!before || !now) throw new Error('no latency');
  return ratioOf(before, now, options);
};

t.test('a ratio has an interval of both sides, and a verdict by the tolerance', async (t) => {
  const old = [taken(1000, 0.002)];
  t.equal(between(old, [taken(1100, 0.002)]).verdict, 'worse');
  t.equal(between(old, [taken(900, 0.002)]).verdict, 'better');
  t.equal(between(old, [taken(1010, 0.002)]).verdict, 'same', 'apart, but within the tolerance');
  t.equal(between(old, [taken(1100, 0.1)]).verdict, 'unclear');
  t.equal(between(old, [taken(1028, 0.003)]).verdict, 'unclear', 'apart, and not beyond the tolerance');
  const { ratio, interval } = between(old, [taken(1100, 0.01)]);
  t.equal(ratio.toFixed(6), '1.100000');
  const half = 1.96 * Math.hypot(0.002, 0.01);
  t.equal(interval[1].toFixed(4), (1.1 * Math.exp(half)).toFixed(4));
  t.equal(estimateOf([taken(1, 0.01)], 'cycles'), null);
});

t.test('repeats narrow an interval, unless they scatter', async (t) => {
  const one = between([taken(1000, 0.01)], [taken(1000, 0.01)]);
  const four = Array.from({ length: 4 }, (_, i) => taken(1000 + i, 0.01));
  const more = between(four, four);
  t.ok(Math.log(more.interval[1]) < 0.6 * Math.log(one.interval[1]));
  const wild = [900, 1100, 950, 1050].map((us) => taken(us, 0.001));
  t.ok(Math.log(between(wild, wild).interval[1]) > 0.15, 'their own scatter counts');
});

t.test(
  'intervals hold the truth as often as they say, and a whole report raises few false alarms',
  async (t) => {
    const rng = Xoshiro128.fromSeed(7);
    const noisy = (deviation: number) => taken(1000 * Math.exp(deviation * gaussian(rng)), deviation);
    const trials = 2000;
    let held = 0;
    for (let i = 0; i < trials; i++) {
      const [low, high] = between([noisy(0.02)], [noisy(0.02)]).interval;
      if (low <= 1 && 1 <= high) held++;
    }
    t.ok(Math.abs(held / trials - 0.95) < 0.02, `${held} of ${trials}`);
    let alarms = 0;
    const reports = 200;
    for (let i = 0; i < reports; i++) {
      const side = () => Array.from({ length: 40 }, (_, k) => series(`n${k}`, 'pico', noisy(0.02)));
      const sides = [
        { run: run('1'), series: side() },
        { run: run('2'), series: side() },
      ] as const;
      const { compared } = compareSeries(sides[0], sides[1], 0.03);
      if (compared.some(({ metric, ratio }) => metric === 'latencyUs' && ratio.verdict === 'worse')) alarms++;
    }
    t.ok(alarms / reports <= 0.05, `${alarms} of ${reports} reports of 40 equal networks raise an alarm`);
  },
);

t.test('two networks in turn: a drift cancels', async (t) => {
  const rng = Xoshiro128.fromSeed(3);
  const pairs = Array.from({ length: 8 }, (_, i) => {
    const drift = 1 + 0.1 * i;
    const noise = () => Math.exp(0.002 * gaussian(rng));
    return [taken(1000 * drift * noise(), 0.002), taken(1050 * drift * noise(), 0.002)] as const;
  });
  const paired = pairedRatio(pairs, 'latencyUs', options);
  t.equal(paired?.verdict, 'worse');
  t.ok(paired && Math.abs(paired.ratio - 1.05) < 0.005);
  const apart = between(
    pairs.map(([a]) => a),
    pairs.map(([, b]) => b),
  );
  t.equal(apart.verdict, 'unclear', 'without pairs the drift hides it');
  t.equal(pairedRatio(pairs.slice(0, 2), 'latencyUs', options), null, 'two pairs say too little');
  t.equal(pairedRatio([], 'latencyUs', options), null);
});

t.test('other targets are lost, and nothing to compare is an error', async (t) => {
  const before = { run: run('1'), series: [series('net', 'pico', taken(1000, 0.002))] };
  const threads = taken(1000, 0.002, { target: { ...sample.target, threads: 7 } });
  const other = { run: run('2'), series: [series('net', 'pico', threads)] };
  t.throws(() => compareSeries(before, other, 0.03), { code: 'BASELINE_MISMATCH', message: /threads was/ });
  const newer = taken(1000, 0.002, { target: { ...sample.target, runtimeVersion: '99' } });
  const upgraded = { run: run('2'), series: [series('net', 'pico', newer)] };
  t.equal(compareSeries(before, upgraded, 0.03).lost.length, 0, 'another version is what is watched');
  const two = { run: run('1'), series: [...before.series, series('gone', 'pico', taken(5, 0.01))] };
  const { lost, compared } = compareSeries(two, upgraded, 0.03);
  t.match(lost, [{ network: 'gone' }]);
  t.match(compared[0], { network: 'net', networkChanged: false });
});

t.test('limits: kept, broken, unclear, absent', async (t) => {
  const all = [series('a', 'pico', taken(1000, 0.01)), series('b', 'cpu', taken(50, 0.01))];
  const states = (limit: object) => {
    const { limits } = suiteSchema.parse(suite({ limits: [{ metric: 'latencyUs', ...limit }] }));
    return heldAgainst(limits, all).map(({ state }) => state);
  };
  t.same(states({ max: 2000 }), ['kept', 'kept']);
  t.same(states({ max: 900 }), ['broken', 'kept']);
  t.same(states({ max: 1000, networks: ['a'] }), ['unclear']);
  t.same(states({ max: 1000, devices: ['c*u'] }), ['kept']);
  t.same(states({ max: 1000, networks: ['nobody'] }), ['absent']);
});

t.test('names fit patterns, and no pattern takes long', async (t) => {
  t.ok(fits('models/a.onnx', ['x', 'models/*.onnx']));
  t.ok(fits('aXbXc', ['a*b*c']));
  t.notOk(fits('aba', ['ab*ba']), 'pieces do not overlap');
  t.notOk(fits('a.c', ['abc']), 'a dot is a dot');
  t.ok(fits('anything', undefined));
  t.notOk(fits('a'.repeat(5000), [`${'a*'.repeat(200)}b`]));
});

const hostile = [
  '=HYPERLINK("http://x","y")',
  '@SUM(A1)',
  '+1|cmd',
  '-2',
  'a"b,c\r\nd',
  '<script>&amp;]]>',
  'pipe | tick ` [x](javascript:1) <b> **bold** # h',
  'null \u0000 esc \u001b half \ud800 end',
  '__proto__',
];

t.test('hostile names break no report', async (t) => {
  const cases = hostile.map(
    (network, number): BenchmarkCaseRecord => ({
      run: '2',
      number,
      network,
      place: 'pico',
      repetition: 0,
      asked: null,
      state: 'done',
      jobId: null,
      deviceId: null,
      measurementId: `m${number}` as MeasurementRecord['id'],
      error: null,
      endedMs: 0,
    }),
  );
  const failing: BenchmarkCaseRecord = {
    ...(cases[0] as BenchmarkCaseRecord),
    number: 99,
    repetition: 1,
    state: 'failed',
    measurementId: null,
    error: {
      code: 'DEVICE_FAILED',
      message: '</failure> "&" | `x`',
      hint: '',
      retryable: false,
      details: {},
    },
  };
  const measurements = new Map(hostile.map((_, i) => [`m${i}`, taken(1000 + i, 0.002)]));
  const slower = new Map(hostile.map((_, i) => [`m${i}`, taken(1200 + i, 0.002)]));
  const limits = [{ metric: 'latencyUs', max: 1100 }];
  const report = documentOf(
    reportOf(
      { run: run('2', suite({ limits })), series: seriesOf([...cases, failing], slower), figures: null },
      { run: run('1'), series: seriesOf(cases, measurements), figures: null },
    ),
  );
  t.equal(report.comparison?.compared.filter(({ verdict }) => verdict === 'worse').length, hostile.length);
  t.equal(report.failed.length, 1);
  // Readers that are not ours.
  const python = (code: string, input: string) =>
    spawnSync('python3', ['-c', code], { input, encoding: 'utf8' });
  const xml = python(
    'import sys, xml.etree.ElementTree as e; r = e.fromstring(sys.stdin.buffer.read());' +
      'print(len(r.findall(".//testcase")), len(r.findall(".//failure")), r.get("failures"))',
    junitOf(report),
  );
  t.equal(xml.stderr, '');
  const n = hostile.length;
  t.match(
    xml.stdout,
    new RegExp(`^(\\d+) ${1 + 2 * n} ${1 + 2 * n}`),
    'limits, comparison and the failed one',
  );
  const csv = python(
    'import sys, csv, io, json; t = io.StringIO(sys.stdin.buffer.read().decode(), newline="");' +
      'print(json.dumps([r for r in csv.reader(t)]))',
    csvOf(report),
  );
  t.equal(csv.stderr, '');
  const rows = JSON.parse(csv.stdout) as string[][];
  const width = rows[0]?.length;
  t.ok(
    rows.every((row) => row.length === width),
    'every line has all columns',
  );
  const names = new Set(rows.slice(1).map((row) => row[2] as string));
  t.equal(names.size, n);
  for (const name of names) t.notMatch(name, /^[=+\-@\t\r]/, 'no formula');
  const markdown = markdownOf(report);
  t.notMatch(markdown, /[<>`]|\[x\]|\*\*bold/);
  const tables = markdown.split('\n').filter((line) => line.startsWith('|'));
  const widths = new Set(tables.map((line) => line.split('|').length));
  t.same([...widths].sort(), [8, 9], 'a name adds no column');
});
