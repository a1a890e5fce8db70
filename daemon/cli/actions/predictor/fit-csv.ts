import { parse } from 'csv-parse/sync';
import { HildaError } from '../../../core/errors.js';
import { shuffled, Xoshiro128 } from '../../../core/rng.js';
import { median } from '../../../measure/statistics.js';
import type { Views } from '../../../predict/contract.js';
import { type ColumnKind, columnViews } from '../../../predict/features/column-views.js';
import {
  columnOf,
  completeRows,
  costsOfRows,
  type LeftOut,
  leftOutText,
  mixedUnits,
  type TableRow,
} from '../../../predict/features/table-cells.js';
import { PickedPredictor } from '../../../predict/picked.js';
import { networkKey, oncePerNetwork } from '../../../predict/samples.js';
import { scorePredictions } from '../../../predict/score.js';
import { publishedSpaceNames } from '../../../search/spaces/published-space-names.js';
import { publishedSpaces } from '../../../search/spaces/published-spaces.js';
import type { CliContext } from '../../context.js';
import { readInput } from '../../read-input.js';

interface Options {
  readonly columns?: string;
  readonly space?: string;
  readonly metric: string;
  readonly train: string;
  readonly test: string;
  readonly seed: string;
}

type Row = Readonly<Record<string, string>>;

/** Needs no daemon: any table can be tried, before any device is. */
export async function predictorFitCsvAction(
  context: CliContext,
  file: string,
  options: Options,
): Promise<void> {
  const read = readRows((await readInput(file)).toString('utf8'), file);
  const { views, kept, kinds, leftOut, dropped } = describe(read, options);
  const values = costsOfRows(options.metric, kept);
  const trainCount = count(options.train, 'train', 1);
  const { train, test } = splitByNetwork(
    views,
    trainCount,
    count(options.test, 'test', 1),
    count(options.seed, 'seed', 0),
  );
  if (test.length === 0)
    throw new HildaError('SAMPLES_INVALID', `${views.length} rows leave none to test on after ${trainCount}`);
  const cautions = cautionsOf(values, kept, train.length, leftOut);
  const of = <T>(list: readonly T[], indices: readonly number[]): T[] => indices.map((i) => list[i] as T);
  const predictor = new PickedPredictor();
  const once = oncePerNetwork(of(views, train), of(values, train));
  const networks = once.samples.length;
  predictor.fit(once.samples, once.values);
  const { mean, low, high } = predictor.predict(of(views, test));
  const measured = of(values, test);
  const score = scorePredictions(
    measured,
    [...mean],
    measured.map((y, i) => y >= (low[i] as number) && y <= (high[i] as number)),
  );
  const { model, transform } = predictor.report();
  const disagreement = duplicateSpread(views, values);
  const width = median(
    measured.map((_, i) => ((high[i] as number) - (low[i] as number)) / (mean[i] as number)),
  );
  context.answer(
    'predictor-fit',
    {
      provenance: 'imported',
      rows: views.length,
      dropped,
      leftOut,
      columns: kinds,
      cautions,
      train: train.length,
      trainNetworks: networks,
      test: test.length,
      model,
      transform,
      score,
      relativeWidth: width,
      duplicates: disagreement,
    },
    () =>
      [
        `${views.length} rows${dropped > 0 ? `, ${dropped} outside the space left out` : ''}; learnt from ${train.length} of ${networks} networks, asked about ${test.length} of others`,
        ...(kinds.length > 0
          ? [`columns      ${kinds.map(({ name, kind }) => `${name} ${kind}`).join(', ')}`]
          : []),
        `model        ${model}`,
        `Spearman     ${score.spearman.toFixed(4)}`,
        `Kendall      ${score.kendall.toFixed(4)}`,
        `MAPE         ${score.mape.toFixed(2)} %`,
        `within 10 %  ${(100 * score.within10).toFixed(1)} %`,
        `coverage     ${(100 * score.coverage).toFixed(1)} % of 90 % intervals, ${(100 * width).toFixed(0)} % of the prediction wide (median)`,
        ...(disagreement.groups > 0
          ? [
              `${disagreement.groups} sets of equal networks disagree by ${(100 * disagreement.medianSpread).toFixed(1)} % (median)`,
            ]
          : []),
        ...cautions.map((text) => `caution      ${text}`),
      ].join('\n'),
  );
}

function readRows(text: string, file: string): TableRow[] {
  try {
    const rows = parse(text, {
      columns: true,
      skip_empty_lines: true,
      trim: true,
      bom: true,
      info: true,
    }) as unknown as { readonly record: Row; readonly info: { readonly lines: number } }[];
    if (rows.length > 0) return rows.map(({ record, info }) => ({ line: info.lines, cells: record }));
  } catch (cause) {
    throw new HildaError('SAMPLES_INVALID', `${file} is not CSV: ${(cause as Error).message}`, { cause });
  }
  throw new HildaError('SAMPLES_INVALID', `${file} holds no rows below its header`);
}

interface Described {
  readonly views: readonly Views[];
  readonly kept: readonly TableRow[];
  readonly kinds: readonly { readonly name: string; readonly kind: ColumnKind }[];
  /** Rows that lack a value. */
  readonly leftOut: readonly LeftOut[];
  /** Rows that are no network of the space. */
  readonly dropped: number;
}

function describe(
  rows: readonly TableRow[],
  { columns: names, space: spaceName, metric }: Options,
): Described {
  const asked = names?.split(',').map((text) => text.split(':') as [string, string | undefined]) ?? [];
  if (spaceName === undefined) {
    if (asked.length === 0)
      throw new HildaError('USAGE_INVALID', 'name the columns with --columns, or a space with --space');
    for (const [name, kind] of asked)
      if (kind !== undefined && !['number', 'choice', 'digits'].includes(kind))
        throw new HildaError('USAGE_INVALID', `${name}:${kind}: a column is number, choice or digits`);
    const known = asked.map(([name]) => existing(rows, name));
    const { rows: kept, leftOut } = completeRows(rows, [...known, existing(rows, metric)]);
    const columns = asked.map(([name, kind]) => columnOf(name, kept, kind as ColumnKind | undefined));
    const kinds = columns.map(({ name, kind }) => ({ name, kind }));
    return { views: columnViews(columns), kept, kinds, leftOut, dropped: 0 };
  }
  const name = publishedSpaceNames.find((one) => one === spaceName);
  if (!name)
    throw new HildaError('USAGE_INVALID', `there is no published space ${spaceName}`, {
      hint: `Known: ${publishedSpaceNames.join(', ')}.`,
    });
  const space = publishedSpaces[name];
  const columns = (names ? asked.map(([name]) => name) : space.columns).map((name) => existing(rows, name));
  const complete = completeRows(rows, [...columns, existing(rows, metric)]);
  const views: Views[] = [];
  const kept: TableRow[] = [];
  let fault: unknown;
  for (const row of complete.rows) {
    try {
      views.push(space.views(columns.map((name) => row.cells[name] as string)));
      kept.push(row);
    } catch (error) {
      if (!(error instanceof HildaError) || error.code !== 'ARCHITECTURE_INVALID') throw error;
      fault = error;
    }
  }
  if (kept.length === 0) throw fault;
  const dropped = complete.rows.length - kept.length;
  return { views, kept, kinds: [], leftOut: complete.leftOut, dropped };
}

/** The name of a column that the table has. */
function existing([row]: readonly TableRow[], column: string): string {
  if (row && Object.hasOwn(row.cells, column)) return column;
  throw new HildaError('USAGE_INVALID', `the table has no column ${column}`, {
    hint: `Columns: ${Object.keys(row?.cells ?? {}).join(', ')}.`,
  });
}

/** Rows of equal networks stay on one side: a network that was learnt says nothing about unseen ones. */
function splitByNetwork(
  views: readonly Views[],
  trainCount: number,
  testCount: number,
  seed: number,
): { readonly train: readonly number[]; readonly test: readonly number[] } {
  const networks = new Map<string, number[]>();
  views.forEach((view, i) => {
    const key = networkKey(view);
    networks.set(key, [...(networks.get(key) ?? []), i]);
  });
  const order = shuffled(Xoshiro128.fromSeed(seed), [...networks.values()]);
  const train: number[] = [];
  let at = 0;
  for (; at < order.length && train.length < trainCount; at++) train.push(...(order[at] as number[]));
  return { train, test: order.slice(at).flat().slice(0, testCount) };
}

/** Below it no interval can be trusted to hold as often as it says. */
const fewSamples = 20;

function cautionsOf(
  values: readonly number[],
  rows: readonly TableRow[],
  trainCount: number,
  leftOut: readonly LeftOut[],
): string[] {
  const lines = rows.map(({ line }) => line);
  const mixed = mixedUnits(values, lines);
  return [
    ...(leftOut.length > 0
      ? [`${leftOut.length} of ${rows.length + leftOut.length} rows left out: ${leftOutText(leftOut)}`]
      : []),
    ...(mixed
      ? [
          `the costs fall into two groups, ${mixed.factor.toPrecision(3)} times apart: are there two units? The smaller group: line ${mixed.lines.slice(0, 5).join(', ')}${mixed.lines.length > 5 ? ', …' : ''}`,
        ]
      : []),
    ...(trainCount < fewSamples
      ? [`${trainCount} rows to learn from: intervals hold as often as they say from ${fewSamples} on`]
      : []),
  ];
}

function count(text: string, option: string, least: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least)
    throw new HildaError('USAGE_INVALID', `--${option}: ${text} is no whole number of at least ${least}`);
  return value;
}

/** How far rows disagree that nothing tells apart: no predictor can be better than this. */
function duplicateSpread(
  views: readonly Views[],
  values: readonly number[],
): { groups: number; medianSpread: number } {
  const groups = new Map<string, number[]>();
  views.forEach((view, i) => {
    const key = networkKey(view);
    groups.set(key, [...(groups.get(key) ?? []), values[i] as number]);
  });
  const spreads = [...groups.values()]
    .filter((group) => new Set(group).size > 1)
    .map((group) => Math.max(...group) / Math.min(...group) - 1)
    .sort((a, b) => a - b);
  return { groups: spreads.length, medianSpread: spreads[spreads.length >> 1] ?? 0 };
}
