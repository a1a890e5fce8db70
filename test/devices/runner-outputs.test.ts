import t from 'tap';
import { readBenchmarkModel } from '../../daemon/devices/adb/runners/benchmark-model.js';
import { readBenchmarkProfile } from '../../daemon/devices/adb/runners/benchmark-profile.js';
import { readJsonResults } from '../../daemon/devices/adb/runners/json-results.js';
import { readPerfTest } from '../../daemon/devices/adb/runners/perf-test.js';
import { microseconds, readNumber } from '../../daemon/devices/adb/runners/quantity.js';
import { legSamples, statisticOf } from '../../daemon/devices/adb/runners/report.js';
import { runnerFailure } from '../../daemon/devices/adb/runners/runner-failure.js';
import {
  benchmarkModelLogs,
  benchmarkProfile,
  perfTestLogs,
  perfTestOutput,
  type RunnerLog,
} from '../android/runner-outputs.js';

const invalid = { code: 'RUNNER_OUTPUT_INVALID' };
const today = (perfTestLogs.at(-1) as RunnerLog).text;
const lite = (benchmarkModelLogs[2] as RunnerLog).text;
const near = (a: number | null, b: number | null): boolean =>
  a === null || b === null ? a === b : Math.abs(a - b) < 1e-6 * b;

const readers = [
  [readPerfTest, perfTestLogs],
  [readBenchmarkModel, benchmarkModelLogs],
] as const;

t.test('the forms of many releases are read to the figures that people read', async (t) => {
  for (const [read, logs] of readers)
    for (const { source, text, says } of logs) {
      for (const output of [text, text.replaceAll('\n', '\r\n'), text.replaceAll(/^(?!\d\d-)/gm, 'INFO: ')]) {
        const { form, runs, meanUs, medianUs, loadUs, firstRunUs } = read(output);
        t.match(form, says.form, source);
        t.equal(runs, says.runs, source);
        for (const [is, be, what] of [
          [meanUs, says.meanUs, 'mean'],
          [medianUs, says.medianUs, 'median'],
          [loadUs, says.loadUs, 'load'],
          [firstRunUs, says.firstRunUs, 'first'],
        ] as const)
          t.ok(near(is, be), `${what} ${is} for ${be}: ${source}`);
      }
    }
});

t.test('no digit more or less, no value out of place: right, or an error', async (t) => {
  for (const [read, logs] of readers)
    for (const { text, says, source } of logs) {
      for (let cut = 0; cut < text.length; cut++) {
        let report: ReturnType<typeof readPerfTest>;
        try {
          report = read(text.slice(0, cut));
        } catch (thrown) {
          t.match(thrown, invalid);
          continue;
        }
        // What is whole is right; what is cut off is missing.
        const right =
          near(report.meanUs, says.meanUs) &&
          [null, says.runs].includes(report.runs) &&
          (report.medianUs === null || near(report.medianUs, says.medianUs));
        if (!right) t.fail(`cut at ${cut}: ${JSON.stringify(report)}: ${source}`);
      }
      for (const bad of [
        'nan',
        '-nan',
        'inf',
        '-inf',
        '0',
        '-1',
        '-0.5',
        '',
        'NaN ',
        '1,234',
        '1.2.3',
        '--',
      ]) {
        const spoilt = text.replace(
          /((?:Average[^\n]*:|Inference(?: \(avg\))?:|no stats:) *)[\d.e+]+/,
          (_, label: string) => `${label}${bad}`,
        );
        t.not(spoilt, text);
        t.throws(() => read(spoilt), invalid, `${JSON.stringify(bad)}: ${source}`);
      }
    }
  const other = today.replace('98.961997', '198.961997');
  t.throws(() => readPerfTest(other), { message: /the sum/ }, 'a digit too many is found by the sum');
  t.throws(() => readPerfTest(today + other), invalid, 'two outputs in one');
  t.throws(() => readPerfTest(today.replace('P50 Latency: 0.0995086 s', 'P50 Latency: 0.0995086')), invalid);
  t.throws(() => readPerfTest(today.replace('0.0995086 s', '-nan s')), { message: /not finite/ });
  t.throws(() => readPerfTest(today.replace('0.0995086', '0.995086')), { message: /median is above/ });
  t.throws(() => readPerfTest(today.replace('98.961997 ms', '98.961997 m')), { message: /no unit of time/ });
  for (const figure of ['1e308 ms', '4000 s', '1e-10 ms'])
    t.throws(
      () => readPerfTest(`Average inference time cost total: ${figure}\n`),
      { ...invalid, message: /which no run takes|not finite/ },
      figure,
    );
  t.throws(
    () => readPerfTest(today.replace('98.961997 ms', '98.96\n[W:onnxruntime] slow\n1997 ms')),
    invalid,
  );
  try {
    readPerfTest('Segmentation fault\n');
    t.fail('it is no output');
  } catch (thrown) {
    t.match(thrown, { ...invalid, details: { output: /Segmentation/ } });
  }
  t.throws(() => readBenchmarkModel(lite + lite), { message: /several/ });
  t.throws(() => readBenchmarkModel(lite.replace('avg=33071.8', 'avg=43071.8')), invalid);
  t.throws(() => readBenchmarkModel("ERROR: Didn't find op for builtin opcode\n"), invalid);
});

t.test('units and locales', async (t) => {
  const meanOf = (figure: string): number | null =>
    readPerfTest(`Average inference time cost total: ${figure}\n`).meanUs;
  for (const [figure, us] of [
    ['98.5 ms', 98500],
    ['98,5 ms', 98500],
    ['98,961997 ms', 98961.997],
    ['0,123 s', 123000],
    ['1.234,5 us', 1234.5],
    ['1,234.5 us', 1234.5],
    ["1'234.5 us", 1234.5],
    ['1\u202f234,5 us', 1234.5],
    ['1,234,567 ns', 1234.567],
    ['9.85e+01 ms', 98500],
    ['98500 µs', 98500],
    ['98500µs', 98500],
    ['0.0985sec', 98500],
    ['98500000 ns', 98500],
    ['٩٨٫٥ ms', 98500],
    ['९८.५ ms', 98500],
    ['９８.５ ms', 98500],
    ['98.5 ms (0.0985 s)', 98500],
  ] as const)
    t.ok(near(meanOf(figure), us), `${figure}: ${meanOf(figure)}`);
  for (const figure of [
    '1,234 ms',
    '1.234.567 ms',
    '98.5',
    '98.5 minutes',
    'x ms',
    '1e400 ms',
    '0x10 ms',
    '1 234 ms',
  ])
    t.throws(() => meanOf(figure), invalid, figure);
  t.equal(microseconds('constructor'), null, 'units are a table of their own');
  t.match(readNumber(''), { fault: /no number/ });
});

t.test('times of each run are samples; a mean is said to be one', async (t) => {
  for (const release of ['first', 'middle', 'today'] as const) {
    const seconds = [0.00201, 0.00199, 0.002004, 6.5e-5];
    const { stdout, result } = perfTestOutput(release, seconds);
    const report = readPerfTest(stdout, result);
    t.equal(statisticOf(report), 'runs', release);
    t.same(
      legSamples(report, 'runs'),
      Float64Array.from(seconds, (s) => s * 1e6),
    );
    t.throws(() => readPerfTest(stdout, result.replace(/^.*,1\n/m, '')), invalid, 'a run is missing');
    t.throws(() => readPerfTest(stdout, result.replace('0.00199', 'nan')), { message: /not finite/ });
    t.throws(() => readPerfTest(stdout, result.replace('0.00199', '0.0199')), {
      message: /that of the runs/,
    });
    t.throws(() => readPerfTest(stdout, result.replace('0.00199', '0')), {
      message: /run 2 .* not positive/,
    });
    t.throws(() => readPerfTest(stdout, result.slice(0, 20)), invalid, 'the file is cut off');
  }
  const spoken = [
    'iteration:1,time_cost:0.002',
    'iteration:2,time_cost:0.003',
    'Average time cost:2.5 ms',
    '',
  ];
  t.same(readPerfTest(spoken.join('\n')).samplesUs, [2000, 3000], 'as -v prints them');
  const mean = readBenchmarkModel(lite);
  t.equal(statisticOf(mean), 'mean');
  t.equal(legSamples(mean, 'median'), null, 'no median is made up');
  t.match(statisticOf(readBenchmarkModel((benchmarkModelLogs[3] as RunnerLog).text)), 'median');
});

t.test('the profile of benchmark_model', async (t) => {
  const { operators, meanUs, runs } = readBenchmarkProfile(benchmarkProfile);
  t.match({ meanUs, runs }, { meanUs: 206.7, runs: 2412 }, 'of runs, not of the initialisation');
  t.same(
    operators.map(({ op, meanUs: us }) => [op, Number(us.toFixed(4))]),
    [
      ['CONV_2D', 93.0388],
      ['ELU', 30.0884],
    ],
  );
  t.match(operators[1], { name: /Elu,fused|Elu, fused/ });
  const older = benchmarkProfile.slice(
    benchmarkProfile.lastIndexOf('============================== Run Order'),
  );
  t.equal(readBenchmarkProfile(older).operators.length, 2, 'older releases have one section');
  for (const [from, to] of [
    ['0.0930388', '-nan'],
    ['0.0930388', '-1'],
    ['avg=206.7', 'avg=nan'],
    ['avg=206.7', 'avg=906.7'],
    ['Timings (microseconds)', 'Times'],
  ] as const)
    t.throws(() => readBenchmarkProfile(benchmarkProfile.replaceAll(from, to)), invalid, to);
});

t.test('results as of llama-bench', async (t) => {
  const result = {
    build_commit: '8cf427ff',
    build_number: 5163,
    cpu_info: 'AMD, 8 cores',
    avg_ns: 70285660,
    stddev_ns: 982040,
    samples_ns: [70285000, 70286320],
    load_ns: 5e6,
  };
  const csv =
    'build_commit,cpu_info,avg_ns,stddev_ns\n"8cf427ff","AMD ""Ryzen"", 8 cores","70285660","982040"\n';
  for (const [text, samples] of [
    [JSON.stringify([result]), 2],
    [JSON.stringify([result], null, 2), 2],
    [`warming up\n${JSON.stringify([result], null, 2)}\ndone\n`, 2],
    [`${JSON.stringify(result)}\n`, 2],
    [JSON.stringify(result, null, 2), 2],
    [csv.replaceAll('\n', '\r\n'), null],
  ] as const) {
    const report = readJsonResults(text);
    t.equal(report.samplesUs?.length ?? null, samples, text.slice(0, 20));
    t.match(report, { meanUs: 70285.66, deviationUs: 982.04 });
  }
  for (const [peak, bytes] of [
    [4096, 4096],
    ['4096', 4096],
    ['', null],
    [null, null],
  ] as const)
    t.equal(readJsonResults(JSON.stringify([{ ...result, peak_bytes: peak }])).peakBytes, bytes);
  t.match(readJsonResults(JSON.stringify([result])), { loadUs: 5000, version: '5163 8cf427ff' });
  const spoilt: object[] = [
    { ...result, avg_ns: 0 },
    { ...result, avg_ns: null, samples_ns: [] },
    { ...result, avg_ns: 'nan' },
    { ...result, avg_ns: 1e308, samples_ns: [1e308, 1e308] },
    { avg_ns: 1e308 },
    { avg_ns: 4e12 },
    { avg_ns: 1e-4 },
    { ...result, load_ns: 1e300 },
    { ...result, first_ns: -1 },
    { ...result, stddev_ns: -1 },
    { ...result, stddev_ns: 1e300 },
    { ...result, peak_bytes: 0 },
    { ...result, peak_bytes: 1.5 },
    { ...result, peak_bytes: 1e300 },
    { ...result, peak_bytes: 'much' },
    { ...result, samples_ns: [70285000, null] },
    { ...result, samples_ns: [70285000, 170286320] },
    { ...result, samples_ns: '70285000' },
    { avg: 1 },
  ];
  for (const one of spoilt)
    t.throws(() => readJsonResults(JSON.stringify([one])), invalid, JSON.stringify(one));
  t.throws(() => readJsonResults(JSON.stringify([result, result])), { message: /2 results/ });
  for (const text of [JSON.stringify([result]), JSON.stringify(result), csv])
    for (let cut = 1; cut < text.length; cut++)
      t.throws(() => readJsonResults(text.slice(0, cut)), invalid, `cut at ${cut}`);
  t.throws(() => readJsonResults('{"__proto__": {"avg_ns": 5}}\n'), invalid);
});

t.test('how a runner ended is evidence', async (t) => {
  const end = (exitCode: number, stderr: string, stdout = '') =>
    runnerFailure({ runner: 'onnxruntime_perf_test', exitCode, stdout, stderr });
  for (const [error, suspect, signal] of [
    [end(127, '/system/bin/sh: /data/local/tmp/hilda/x: inaccessible or not found\n'), 'device', null],
    [end(126, '/system/bin/sh: /data/local/tmp/hilda/x: not executable: 32-bit ELF file\n'), 'device', null],
    [end(1, 'CANNOT LINK EXECUTABLE "x": library "libonnxruntime.so" not found\n'), 'device', null],
    [end(139, ''), undefined, 11],
    [end(134, ''), undefined, 6],
    [end(1, ''), undefined, null],
  ] as const) {
    t.match(error.details, { signal }, error.message);
    t.equal(error.details.suspect, suspect, error.message);
    t.not(error.code, 'NETWORK_REJECTED', error.message);
  }
  t.match(end(137, 'Killed \n').details, { signal: 9, memory: true });
  t.match(end(255, '', 'Run failed: Non-zero status code returned while running Conv node\n').details, {
    stdout: /Run failed/,
  });
  t.match(end(255, 'a\nb\nc\nd\ne\nf\n').details, { exitStatus: 255, stderr: 'b\nc\nd\ne\nf' });
});
