import t from 'tap';
import { describeBeside } from '../../daemon/benchmarks/comparison/gate.js';
import { csvOf } from '../../daemon/benchmarks/reports/csv.js';
import { documentOf } from '../../daemon/benchmarks/reports/document.js';
import { junitOf } from '../../daemon/benchmarks/reports/junit.js';
import { markdownOf } from '../../daemon/benchmarks/reports/markdown.js';
import { gate } from '../../daemon/cli/actions/bench/reports.js';
import { systemClock } from '../../daemon/core/clock.js';
import type { HildaError } from '../../daemon/core/errors.js';
import { sha256Hex } from '../../daemon/core/hash.js';
import { readFigures } from '../../daemon/reading/benchmark-tables/read-figures.js';
import { codeOf, StagedDriver } from '../jobs/bench.js';
import { openRuns, suite } from './bench.js';

const table = (text: string, device: string | null = null) => readFigures([{ name: 'a.csv', text }], device);
const rowsOf = (text: string, device: string | null = null) => table(text, device).rows;

/** What is refused: its code, its message, and the rows that it names. */
function refusal(work: () => unknown): { code: string; message: string; rows: unknown } {
  try {
    work();
  } catch (thrown) {
    const { code, message, details } = thrown as HildaError;
    return { code, message, rows: (details as { rows?: unknown }).rows };
  }
  throw new Error('nothing was refused');
}

t.test('a table is read in the unit of its header, with its interval and its source', async (t) => {
  const headers: [string, number][] = [
    ['latency_us', 250],
    ['latencyUs', 250],
    ['Latency (µs)', 250],
    ['latency_ns', 0.25],
    ['latency_ms', 250_000],
    ['Latency [ms]', 250_000],
    ['median latency ms', 250_000],
    ['latency_s', 250e6],
  ];
  for (const [header, expected] of headers)
    t.equal(rowsOf(`network,${header}\nkws,250\n`, 'board')[0]?.latencyUs, expected, header);
  const text =
    '\ufeffnetwork;board;latency_ms;low_ms;high_ms;runtime;precision;date;energy_uJ\r\n' +
    'kws;n1;2;1.5;2.5;tflm;int8;2024-05-01;40\r\n\r\nvww;n1;5;;;;;;\r\n';
  const source = { file: 'a.csv', sha256: sha256Hex(text) };
  t.same(rowsOf(text), [
    {
      network: 'kws',
      device: 'n1',
      runtime: 'tflm',
      precision: 'int8',
      date: '2024-05-01',
      latencyUs: 2000,
      interval: [1500, 2500],
      energyUj: 40,
      accuracy: null,
      auc: null,
      source: { ...source, row: 2 },
    },
    {
      network: 'vww',
      device: 'n1',
      runtime: null,
      precision: null,
      date: null,
      latencyUs: 5000,
      interval: null,
      energyUj: null,
      accuracy: null,
      auc: null,
      // The empty row counts.
      source: { ...source, row: 4 },
    },
  ]);
  t.same(
    rowsOf('network,latency_ms\na,2 ± 0.5\nb,2+/-0.5\n', 'x').map(({ interval }) => interval),
    [
      [1500, 2500],
      [1500, 2500],
    ],
  );
  t.same(rowsOf('network,latency_ms,± (us)\na,2,500\n', 'x')[0]?.interval, [1500, 2500]);
  // A name in quotes may hold a line break: a spreadsheet shows one row.
  t.equal(rowsOf('network,latency_ms\n"a\nb",1\nc,2\n', 'x')[1]?.source.row, 3);
});

t.test('a summary of MLPerf Tiny is a table of throughputs', async (t) => {
  const head =
    'round,org,system,model,throughput_inf_s,latency_ms,energy_median,energy_unit,processor,frequency,framework\n';
  const [first, second] = rowsOf(
    `${head}v1.1,Somebody,sdk/board,kws,8,125.0,1.5,mJ/inf,M4,64 MHz,tflm\nv1.1,Somebody,sdk/board,ad,100,10.0,,,,,\n`,
  );
  t.match(first, {
    device: 'Somebody/sdk/board',
    network: 'kws',
    latencyUs: 125_000,
    energyUj: 1500,
    runtime: 'tflm',
  });
  t.match(second, { network: 'ad', latencyUs: 10_000, energyUj: null });
  t.match(
    refusal(() => table(`${head}v1.1,S,b,kws,8,12.5,,,,,\n`)),
    { code: 'TABLE_INVALID', rows: [2], message: /row 2: latency_ms and throughput_inf_s disagree/ },
  );
});

const faults: [why: string, text: string, rows: number[], message: RegExp][] = [
  ['an unknown column', 'network,latency_us,speed\na,1,2\n', [1], /no column "speed"/],
  ['no network', 'latency_us\n1\n', [1], /no column network/],
  ['no latency', 'network,accuracy\na,0.5\n', [1], /no column latency/],
  ['no unit', 'network,latency\na,1\n', [1], /latency has no unit/],
  ['two units', 'network,latency_us,latency_ms\na,1,1\n', [1], /say the same/],
  ['a header twice', 'network,network,latency_us\na,b,1\n', [1], /say the same/],
  ['energy without a unit', 'network,latency_us,energy\na,1,1\n', [1], /energy has no unit/],
  ['half an interval', 'network,latency_us,low_us\na,1,1\n', [1], /two columns/],
  ['nothing', '', [1], /no column network/],
  ['a header alone', 'network,latency_us\n', [2], /no row below/],
  ['an empty cost', 'network,latency_us\na,1\nb,\n', [3], /latency_us is empty/],
  ['an empty network', 'network,latency_us\n,1\n', [2], /network is empty/],
  ['an empty device', 'network,device,latency_us\na,,1\n', [2], /device is empty/],
  ['0', 'network,latency_us\na,0\n', [2], /not above 0 and finite/],
  ['a negative cost', 'network,latency_us\na,-3\n', [2], /not above 0 and finite/],
  ['no end', 'network,latency_us\na,Infinity\n', [2], /not above 0 and finite/],
  ['no number', 'network,latency_us\na,nan\n', [2], /not above 0 and finite/],
  ['too large a number', 'network,latency_us\na,1e999\n', [2], /not above 0 and finite/],
  ['a hexadecimal number', 'network,latency_us\na,0x10\n', [2], /no number/],
  ['a unit in the cell', 'network,latency_us\na,12 ms\n', [2], /no number/],
  ['thousands in quotes', 'network,latency_us\na,"1,234"\n', [2], /separators of thousands/],
  ['thousands by a blank', 'network,latency_us\na,1 234.5\n', [2], /separators of thousands/],
  ['thousands by an apostrophe', "network,latency_us\na,1'234\n", [2], /separators of thousands/],
  [
    'thousands without quotes',
    'network,latency_us\na,1\nb,1,234\n',
    [3],
    /3 cells below 2 headers.*thousands/,
  ],
  ['a decimal comma', 'network;latency_us\na;1,5\n', [2], /a point before decimals/],
  ['an interval elsewhere', 'network,latency_us,low_us,high_us\na,1,2,3\n', [2], /interval does not hold/],
  ['an interval down to 0', 'network,latency_us\na,1 ± 1\n', [2], /reaches 0/],
  ['one end of an interval', 'network,latency_us,low_us,high_us\na,2,1,\n', [2], /one is empty/],
  ['an interval twice', 'network,latency_us,low_us,high_us\na,2 ± 1,1,3\n', [2], /written twice/],
  ['an accuracy in per cent', 'network,latency_us,accuracy\na,2,91\n', [2], /no number from 0 to 1/],
  ['rows that disagree', 'network,latency_us\na,1\nb,1\na,2\n', [4], /a on x is another figure in row 2/],
  ['three wrong rows', 'network,latency_us\na,0\nb,\nc,x\nd,1\n', [2, 3, 4], /row 2.*row 3.*row 4/],
];

t.test('what is wrong with a table is named by its row', async (t) => {
  for (const [why, text, rows, message] of faults)
    t.match(
      refusal(() => table(text, 'x')),
      { code: 'TABLE_INVALID', rows, message },
      why,
    );
  t.match(
    refusal(() => table('network,latency_us\na,1\n')),
    { code: 'TABLE_INVALID', message: /--device/ },
  );
  t.match(
    refusal(() => table('network,device,latency_us\na,y,1\n', 'x')),
    { rows: [2], message: /device y/ },
  );
  t.match(
    refusal(() => table('network,latency_us\n"a,1\n', 'x')),
    { code: 'TABLE_INVALID', message: /not CSV/ },
  );
});

t.test('equal rows count once, and two units in one column are a caution', async (t) => {
  const { rows, cautions } = table('network,latency_us\na,1\na,1\n', 'x');
  t.equal(rows.length, 1);
  t.match(cautions, [/1 rows repeat/]);
  t.same(table('network,latency_us\na,100\nb,200\nc,150\n', 'x').cautions, []);
  t.match(table('network,latency_us\na,150\nb,200\nc,0.17\n', 'x').cautions, [/two units.*a.csv row 4/]);
  // One network by two runtimes is two figures.
  t.equal(rowsOf('network,latency_us,runtime\na,1,p\na,2,q\n', 'x').length, 2);
});

const results = (rate: string, energy = '') =>
  `00010.100 ulp-mlperf: Performance results for window 2:\n00010.100 ulp-mlperf:   Throughput   :  ${rate} inf./sec.\n${energy}00010.200 ulp-mlperf: Median throughput is ${rate} inf./sec.\n`;

t.test('results of MLPerf Tiny are read by their folders', async (t) => {
  const at = (path: string, text: string) => ({ name: `closed/Org/results/sdk/board/${path}`, text });
  const { rows, cautions } = readFigures(
    [
      at('kws/performance/results.txt', results(' 8.000')),
      at('kws/performance/log.txt', 'a log beside results counts for nothing'),
      at('kws/accuracy/results.txt', '00001.000 ulp-mlperf: Top-1: 90.5%\n00001.000 ulp-mlperf: AUC: 0.99\n'),
      at(
        'kws/energy/results.txt',
        results('2.000', '00010.150 ulp-ml: Median energy cost is 1.250 mJ/inf.\n'),
      ),
      at(
        'ad/ad_int8/performance/performance_log.txt',
        'd: m-infer-start-10\nd: m-lap-us-1000\nd: m-lap-us-3000\nd: m-infer-done\n',
      ),
      at('ic/accuracy/results.txt', '1 ulp-mlperf: Top 1% = 85.5\n'),
      at(
        'vww/performance/log.txt',
        'Throughput   :  4 inf./sec.\nThroughput   :  5 inf./sec.\nThroughput   :  10 inf./sec.\n',
      ),
    ],
    null,
  );
  t.match(rows, [
    {
      network: 'kws',
      device: 'Org/sdk/board',
      latencyUs: 125_000,
      energyUj: 1250,
      accuracy: 0.905,
      auc: 0.99,
      source: { row: 3 },
    },
    { network: 'ad', precision: 'int8', latencyUs: 200, source: { row: 3 } },
    { network: 'vww', latencyUs: 200_000, source: { row: 2 } },
  ]);
  t.equal(rows.length, 3);
  t.match(cautions[0], /no performance of ic/);
  const one = (text: string) => readFigures([{ name: 'board/kws/performance/results.txt', text }], null);
  t.equal(one(results('4')).rows[0]?.device, 'board');
  t.match(
    refusal(() => one('nothing\n')),
    { code: 'TABLE_INVALID', message: /no throughput/ },
  );
  t.match(
    refusal(() => one(results('1,234.5'))),
    { rows: [3], message: /separators of thousands/ },
  );
  t.match(
    refusal(() => one(results('0.000'))),
    { rows: [3], message: /not above 0/ },
  );
  t.match(
    refusal(() => one(results('4') + results('5'))),
    { rows: [6], message: /5 here, and 4 in row 3/ },
  );
  t.match(one(`${results('4')}9 ulp-ml: e-[The run must take at least 10 seconds to be valid]\n`).cautions, [
    /row 4: the runner refused it/,
  ]);
});

t.test('imported figures stand beside measured ones, and nothing else knows them', async (t) => {
  const { store, runs, stop } = await openRuns(new StagedDriver(['a', 'b']), systemClock);
  t.teardown(stop);
  const measured = await runs.start(suite({ repeats: 2 }));
  await runs.finished(measured.id);
  const before = await Promise.all([store.measurements({}), store.devices(), store.alerts({})]);

  const latency = (await runs.report(measured.id, null)).rows[0]?.figures.find(
    ({ metric }) => metric === 'latencyUs',
  );
  const value = latency?.value as number;
  const fast = `network,device,latency_us\nfirst,board,${value / 10}\n`;
  const { id } = await runs.import('nightly', [{ name: 'a.csv', text: fast }], null);
  t.match(await runs.show(id), { state: 'done', done: 1, of: 1 });
  const own = documentOf(await runs.report(id, null));
  t.match(own.rows, [
    {
      network: 'first',
      place: 'imported: board',
      provenance: 'imported',
      devices: [],
      measurements: [],
      figures: [{ metric: 'latencyUs', value: value / 10, interval: null }],
      imported: { source: { file: 'a.csv', sha256: sha256Hex(fast), row: 2 } },
    },
  ]);
  t.match(own.imported, { files: [{ name: 'a.csv', sha256: sha256Hex(fast) }], cautions: [] });

  const report = documentOf(await runs.report(measured.id, id));
  t.equal(report.comparison, null);
  t.same(
    report.beside?.pairs.map(({ network, place, otherPlace }) => [network, place, otherPlace]),
    [
      ['first', 'a', 'imported: board'],
      ['first', 'b', 'imported: board'],
    ],
  );
  for (const one of report.beside?.pairs ?? []) t.match(one, { verdict: 'worse', intervalOf: 'this' });
  t.same([report.broken, report.failed, report.unclear], [[], [], []]);
  t.doesNotThrow(
    () => gate(report, { strict: true, gateImported: false }),
    'ten times slower breaks nothing',
  );
  t.throws(() => gate(report, { strict: false, gateImported: true }), { code: 'LIMIT_BROKEN' });
  t.match(
    describeBeside((report.beside?.pairs ?? [])[0] as never),
    /first on a: latencyUs \+.* against imported: board/,
  );

  // Nothing tells an interval on either side: no verdict.
  const other = await runs.import(
    'other',
    [{ name: 'b.csv', text: 'network,latency_us\nfirst,1\n' }],
    'elsewhere',
  );
  const both = documentOf(await runs.report(other.id, id));
  t.match(both.beside?.pairs, [{ verdict: 'unclear', intervalOf: null }]);
  t.throws(() => gate(both, { strict: true, gateImported: true }), { code: 'LIMIT_BROKEN' });

  t.match(markdownOf(own), /\| not told \| imported \|/);
  t.match(markdownOf(report), /Beside run/);
  t.match(junitOf(report), /failures="0"/);
  t.match(
    csvOf(own),
    new RegExp(`imported: board,imported,latencyUs,.*a.csv, row 2, SHA-256 ${sha256Hex(fast)}`),
  );
  t.equal(
    csvOf(report)
      .split('\r\n')
      .filter((line) => line.includes('imported: board')).length,
    2,
  );

  const wrong = await runs.import('other', [{ name: 'c.csv', text: 'network,latency_us\nnone,1\n' }], 'x');
  t.equal(await codeOf(runs.report(measured.id, wrong.id)), 'BASELINE_MISMATCH');
  t.equal(await codeOf(runs.setBaseline(id)), 'STATE_CONFLICT');
  t.equal(
    await codeOf(runs.import('x', [{ name: 'd.csv', text: 'network,latency\na,1\n' }], 'x')),
    'TABLE_INVALID',
  );

  // Of one name with a suite: it is no run before the next.
  const again = await runs.start(suite({ repeats: 2 }));
  await runs.finished(again.id);
  t.equal((await runs.report(again.id, 'last')).comparison?.with.id, measured.id);
  const after = await Promise.all([store.measurements({}), store.devices(), store.alerts({})]);
  t.equal(after[0].filter(({ provenance }) => provenance === 'imported').length, 0);
  t.equal(after[0].length, 2 * before[0].length);
  t.same(
    after[1].map(({ id }) => id),
    before[1].map(({ id }) => id),
  );
  t.same(after[2], before[2]);
  t.same(await store.campaigns({ state: 'running' }), []);
});
