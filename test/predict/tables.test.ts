import fc from 'fast-check';
import t from 'tap';
import { canonicalText } from '../../daemon/network/canonical-text.js';
import { floatTensor } from '../../daemon/network/graph.js';
import { GraphBuilder } from '../../daemon/network/graph-builder.js';
import { byOperatorType, readKey } from '../../daemon/predict/features/by-type.js';
import { columnViews } from '../../daemon/predict/features/column-views.js';
import {
  columnOf,
  completeRows,
  costsOfRows,
  mixedUnits,
  numberOfCell,
  type TableRow,
} from '../../daemon/predict/features/table-cells.js';
import { textNgrams } from '../../daemon/predict/features/text-ngrams.js';
import { formatBlockKey, parseBlockKey } from '../../daemon/predict/tables/block-key.js';
import { tableFormats } from '../../daemon/predict/tables/format-names.js';
import { collectTable, tableSum, testAdditivity } from '../../daemon/predict/tables/latency-table.js';
import { formatTable, type NamedTable, parseTable } from '../../daemon/predict/tables/table-formats.js';
import { ofaOperators, readOfa } from '../../daemon/search/spaces/ofa/mobilenet.js';
import { publishedSpaces } from '../../daemon/search/spaces/published-spaces.js';

const size = fc.array(fc.integer({ min: 1, max: 999 }), { minLength: 1, maxLength: 3 });
const bit = fc.constantFrom(0 as const, 1 as const);
const blockKey = fc.record({
  type: fc.constantFrom('Conv', 'expanded_conv', 'Conv_1', 'Logits'),
  input: size,
  output: size,
  block: fc.record({
    expand: fc.integer({ min: 1, max: 999 }),
    kernel: fc.constantFrom(3, 5, 7),
    stride: fc.constantFrom(1, 2),
    idskip: bit,
    se: bit,
    hs: bit,
  }),
});

t.test('block keys survive, foreign ones are refused', async (t) => {
  fc.assert(
    fc.property(blockKey, (key) => {
      const text = formatBlockKey(key);
      return formatBlockKey(parseBlockKey(text)) === text;
    }),
  );
  const proxyless = 'expanded_conv-input:112x112x16-output:56x56x24-expand:3-kernel:5-stride:2-idskip:0';
  t.equal(formatBlockKey(parseBlockKey(proxyless)), proxyless);
  t.equal(
    formatBlockKey(parseBlockKey('Logits-input:7x7x1280-output:1000')),
    'Logits-input:7x7x1280-output:1000',
  );
  for (const foreign of ['conv1', 'Conv-input:3', 'Conv-input:axb-output:3', `${proxyless}-se:2-hs:0`, ''])
    t.throws(() => parseBlockKey(foreign), { code: 'TABLE_INVALID' });
});

t.test('each format gives back what it was given', async (t) => {
  const blocks: NamedTable = {
    table: new Map([
      ['Conv-input:8x8x3-output:8x8x16', { count: 3, mean: 120, variance: 4 }],
      [
        'expanded_conv-input:8x8x16-output:8x8x16-expand:6-kernel:3-stride:1-idskip:1',
        { count: 7, mean: 310.5, variance: 9 },
      ],
    ]),
    unit: 'us',
    target: '{}',
    provenance: 'measured',
    source: 'test',
  };
  const layers: NamedTable = {
    ...blocks,
    table: new Map([
      ['0 k3e3', { count: 1, mean: 10, variance: 0 }],
      ['0 k5e3', { count: 1, mean: 14, variance: 0 }],
      ['1 k3e3', { count: 1, mean: 8, variance: 0 }],
    ]),
  };
  for (const format of tableFormats) {
    const given = format === 'fbnet' ? layers : blocks;
    const back = parseTable(formatTable(given, format), format, 'a file');
    t.same([...back.table.keys()], [...given.table.keys()], format);
    for (const [key, entry] of given.table) {
      t.ok(Math.abs((back.table.get(key)?.mean as number) - entry.mean) < 1e-9);
      t.ok(Math.abs((back.table.get(key)?.variance as number) - entry.variance) < 1e-9);
    }
    t.equal(back.provenance, format === 'hilda' ? 'measured' : 'imported');
  }
  // Published tables count in ms.
  const published = parseTable(
    'Conv-input:112x112x3-output:56x56x32: {count: 10, mean: 4.5, std: 0.2}',
    'ofa',
    'url',
  );
  t.same(published.table.get('Conv-input:112x112x3-output:56x56x32'), {
    count: 10,
    mean: 4500,
    variance: 200 ** 2,
  });
  t.throws(() => formatTable({ ...blocks, unit: 'cycles' }, 'ofa'), { code: 'TABLE_INVALID' });
  t.throws(() => formatTable(blocks, 'fbnet'), { code: 'TABLE_INVALID' });
  const key = 'Logits-input:7x7x8-output:10';
  for (const [text, format] of [
    [`${key}: {count: 1, mean: .nan, var: 0}`, 'proxylessnas'],
    [`${key}: {count: 1, mean: -1, var: 0}`, 'proxylessnas'],
    [`${key}: {count: 1, mean_us: 4}`, 'ofa'],
    [`${key}: {count: 1, mean: 4, std: 1}`, 'proxylessnas'],
    ['layer3: {count: 1, mean: 4, std: 1}', 'ofa'],
    ['- 1\n- 2', 'ofa'],
    ['a: [', 'hilda'],
    ['hildaTable: 1\nunit: parsecs\nentries: {}', 'hilda'],
    ['1 2 3\n4 5 6', 'fbnet'],
    ['a b\n1', 'fbnet'],
    ['a b\n1 x', 'fbnet'],
  ] as const)
    t.throws(() => parseTable(text, format, ''), { code: 'TABLE_INVALID' }, text);
});

t.test('sums, what is missing, and whether parts tell the whole', async (t) => {
  const part = (key: string, cost: number) => ({ key, cost });
  const networks = [
    { parts: [part('a', 10), part('b', 5)], whole: 33 },
    { parts: [part('a', 12), part('a', 8)], whole: 42 },
    { parts: [part('b', 5), part('b', 5), part('a', 10)], whole: 43 },
    { parts: [part('c', 1)], whole: 9 },
  ];
  const table = collectTable(networks);
  t.same(table.get('a'), { count: 4, mean: 10, variance: 8 / 3 });
  t.equal(tableSum(table, ['a', 'b', 'b']), 20);
  t.throws(() => tableSum(table, ['a', 'x', 'y']), {
    code: 'TABLE_INCOMPLETE',
    details: { missing: ['x', 'y'] },
  });
  const additivity = testAdditivity(networks);
  t.equal(additivity.n, 3, 'a part that no other network has tells nothing');
  t.ok(
    additivity.scale > 2 && additivity.biasPercent < -50 && additivity.kendall > 0.8,
    JSON.stringify(additivity),
  );
  t.throws(() => testAdditivity(networks.slice(0, 2)), { code: 'PREDICTOR_UNFIT' });
});

t.test('operators by type, from their keys', async (t) => {
  t.same(readKey('Conv 1x8x6x6 > 1x16x3x3 k3x3 s2x2 g1'), {
    type: 'Conv 3x3',
    macs: 9 * 16 * 8 * 9,
    elements: 288 + 144 + 1152,
  });
  t.match(readKey('Conv 1x8x6x6 > 1x8x6x6 k5x5 s1x1 g8'), { type: 'Conv depthwise 5x5', macs: 288 * 25 });
  t.match(readKey('Gemm 1x64 > 1x10'), { type: 'product with weights', macs: 640 });
  t.match(readKey('MatMul 1x4x9x8 1x4x8x9 > 1x4x9x9'), { type: 'product of activations', macs: 4 * 81 * 8 });
  t.equal(readKey('macs'), undefined);
  const b = new GraphBuilder({ name: 'n' });
  const x = b.input('x', 'float32', [1, 3, 8, 8]);
  const w = b.constant('w', floatTensor([4, 3, 3, 3], new Float32Array(108)));
  b.output(b.relu(b.conv(x, w, undefined, { pad: 1 })));
  const grams = textNgrams(canonicalText(b.build()));
  t.equal(
    [...grams.values()].reduce((sum, v) => sum + v, 0),
    3,
    'two words and one pair',
  );
  const ofa = readOfa('3'.repeat(20), '3'.repeat(20), '22222', '128');
  const types = byOperatorType(ofaOperators(ofa));
  t.equal(types.get('Conv depthwise 3x3'), 11);
  t.throws(() => readOfa('3', '4', '5', 'x'), { code: 'ARCHITECTURE_INVALID' });
});

t.test('columns of a table that somebody brings', async (t) => {
  const rowsOf = (columns: Record<string, string[]>): TableRow[] =>
    (Object.values(columns)[0] ?? []).map((_, i) => ({
      line: i + 2,
      cells: Object.fromEntries(Object.entries(columns).map(([name, cells]) => [name, cells[i] as string])),
    }));
  const column = (name: string, cells: string[]) => columnOf(name, rowsOf({ [name]: cells }));
  const [first, second] = columnViews([
    column('ops', ['012', '210']),
    column('macs', ['1e6', '2e6']),
    column('kind', ['cnn', 'vit']),
  ]);
  t.same(
    [...(first?.numbers ?? [])],
    [
      ['ops 0', 1],
      ['ops 1', 1],
      ['ops 2', 1],
      ['macs', 1e6],
      ['kind=cnn', 1],
    ],
  );
  t.ok(second?.choices?.has('ops[0]=2') && second.choices.has('kind=vit'));
  // One cell that is no number does not turn a column of numbers into choices.
  const widths = Array.from({ length: 20 }, (_, i) => String(16 + i));
  t.throws(() => column('width', widths.with(7, 'wide')), {
    code: 'SAMPLES_INVALID',
    message: /width is "wide" in line 9/,
  });
  t.equal(columnOf('width', rowsOf({ width: widths.with(7, 'wide') }), 'choice').kind, 'choice');
  for (const nothing of ['', ' ', 'NA', 'n/a', 'NaN', '-']) {
    const { rows, leftOut } = completeRows(rowsOf({ width: widths.with(7, nothing) }), ['width']);
    t.same(leftOut, [{ line: 9, column: 'width' }], JSON.stringify(nothing));
    t.equal(columnOf('width', rows).kind, 'number');
  }
  t.throws(() => completeRows(rowsOf({ a: ['1', '', ''] }), ['a']), { code: 'SAMPLES_INVALID' });
  t.same(['12,345.6', '1,234,567', '1e3', '1,234', '3 ms', ''].map(numberOfCell), [
    12345.6,
    1234567,
    1000,
    undefined,
    undefined,
    undefined,
  ]);
  t.throws(() => costsOfRows('ms', rowsOf({ ms: ['1', '1,234', '-2'] })), {
    code: 'SAMPLES_INVALID',
    message: /2 of 3 costs \(ms\).*"1,234" in line 3, "-2" in line 4/,
  });
  const costs = Array.from({ length: 30 }, (_, i) => 5 * 1.1 ** i);
  t.equal(
    mixedUnits(
      costs,
      costs.map((_, i) => i),
    ),
    undefined,
    'a wide range without a gap is one unit',
  );
  const mixed = mixedUnits(
    costs.map((cost, i) => (i % 10 === 3 ? 1000 * cost : cost)),
    costs.map((_, i) => i + 2),
  );
  t.ok(mixed && mixed.factor > 300, 'some rows in another unit');
  t.same(mixed?.lines, [5, 15, 25]);
  // Layers that choose from one vocabulary are counted together.
  const layers = ['a', 'b', 'c'].map((name) => column(name, ['k3', 'k5']));
  t.same([...(columnViews(layers)[1]?.numbers ?? [])], [['a k5', 3]]);
  t.equal(columnViews(layers)[1]?.choices?.size, 3);
  const cell = '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|';
  t.same(publishedSpaces.nb201?.views([cell]), publishedSpaces.nb201?.views(['301402']));
  t.throws(() => publishedSpaces.nb201?.views(['000000']), { code: 'ARCHITECTURE_INVALID' });
});
