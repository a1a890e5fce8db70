import { Command } from 'commander';
import { parse } from 'csv-parse/sync';
import { HildaError } from '../../core/errors.js';
import { shuffled, Xoshiro128 } from '../../core/rng.js';
import type { Views } from '../../predict/contract.js';
import { type Column, type ColumnKind, columnViews } from '../../predict/features/column-views.js';
import { PickedPredictor } from '../../predict/picked.js';
import { rejectBadSamples } from '../../predict/samples.js';
import { scorePredictions } from '../../predict/score.js';
import { publishedSpaces } from '../../search/spaces/published-spaces.js';
import { act, type Terminal } from '../context.js';
import { readInput } from '../read-input.js';

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
export const predictorFitCsvCommand = (terminal: Terminal): Command =>
  new Command('fit-csv')
    .description('how well a predictor learns a table of measurements that you bring')
    .argument('<file>', 'CSV with a header line')
    .option('--columns <names>', 'what tells networks apart: NAME[:number|choice|digits], comma-separated')
    .option(
      '--space <name>',
      `a published space: ${Object.keys(publishedSpaces).join(' or ')}; --columns names its columns if they are called otherwise`,
    )
    .requiredOption('--metric <name>', 'the column to predict')
    .option('--train <count>', 'rows to learn from', '100')
    .option('--test <count>', 'rows to be asked about, at most', '5000')
    .option('--seed <number>', 'which rows', '1')
    .action(
      act(terminal, async (context, file: string, options: Options) => {
        const rows = readRows((await readInput(file)).toString('utf8'), file);
        const { views, kept, dropped } = describe(rows, options);
        const values = kept.map((row) => cell(row, options.metric)).map(toNumber);
        rejectBadSamples(values);
        const order = shuffled(
          Xoshiro128.fromSeed(count(options.seed, 'seed', 0)),
          views.map((_, i) => i),
        );
        const trainCount = count(options.train, 'train', 1);
        const train = order.slice(0, trainCount);
        const test = order.slice(trainCount, trainCount + count(options.test, 'test', 1));
        if (test.length === 0)
          throw new HildaError(
            'SAMPLES_INVALID',
            `${views.length} rows leave none to test on after ${trainCount}`,
          );
        const of = <T>(list: readonly T[], indices: readonly number[]): T[] =>
          indices.map((i) => list[i] as T);
        const predictor = new PickedPredictor();
        predictor.fit(of(views, train), of(values, train));
        const { mean, low, high } = predictor.predict(of(views, test));
        const measured = of(values, test);
        const score = scorePredictions(
          measured,
          [...mean],
          measured.map((y, i) => y >= (low[i] as number) && y <= (high[i] as number)),
        );
        const { model, transform } = predictor.report();
        const disagreement = duplicateSpread(views, values);
        context.answer(
          'predictor-fit',
          {
            provenance: 'imported',
            rows: views.length,
            dropped,
            train: train.length,
            test: test.length,
            model,
            transform,
            score,
            duplicates: disagreement,
          },
          () =>
            [
              `${views.length} rows${dropped > 0 ? `, ${dropped} outside the space left out` : ''}; learnt from ${train.length}, asked about ${test.length}`,
              `model        ${model}`,
              `Spearman     ${score.spearman.toFixed(4)}`,
              `Kendall      ${score.kendall.toFixed(4)}`,
              `MAPE         ${score.mape.toFixed(2)} %`,
              `within 10 %  ${(100 * score.within10).toFixed(1)} %`,
              `coverage     ${(100 * score.coverage).toFixed(1)} % of 90 % intervals`,
              ...(disagreement.groups > 0
                ? [
                    `${disagreement.groups} sets of equal networks disagree by ${(100 * disagreement.medianSpread).toFixed(1)} % (median)`,
                  ]
                : []),
            ].join('\n'),
        );
      }),
    );

function readRows(text: string, file: string): Row[] {
  try {
    const rows = parse(text, { columns: true, skip_empty_lines: true, trim: true, bom: true }) as Row[];
    if (rows.length > 0) return rows;
  } catch (cause) {
    throw new HildaError('SAMPLES_INVALID', `${file} is not CSV: ${(cause as Error).message}`, { cause });
  }
  throw new HildaError('SAMPLES_INVALID', `${file} holds no rows below its header`);
}

function describe(
  rows: readonly Row[],
  { columns: names, space: spaceName }: Options,
): { readonly views: readonly Views[]; readonly kept: readonly Row[]; readonly dropped: number } {
  if (spaceName === undefined) {
    if (!names)
      throw new HildaError('USAGE_INVALID', 'name the columns with --columns, or a space with --space');
    const columns = names.split(',').map((text): Column => {
      const [name, kind] = text.split(':') as [string, string | undefined];
      if (kind !== undefined && !['number', 'choice', 'digits'].includes(kind))
        throw new HildaError('USAGE_INVALID', `${text}: a column is number, choice or digits`);
      return { name, cells: rows.map((row) => cell(row, name)), ...(kind && { kind: kind as ColumnKind }) };
    });
    return { views: columnViews(columns), kept: rows, dropped: 0 };
  }
  const space = publishedSpaces[spaceName];
  if (!space)
    throw new HildaError('USAGE_INVALID', `there is no published space ${spaceName}`, {
      hint: `Known: ${Object.keys(publishedSpaces).join(', ')}.`,
    });
  const columns = names ? names.split(',') : space.columns;
  const views: Views[] = [];
  const kept: Row[] = [];
  let fault: unknown;
  for (const row of rows) {
    try {
      views.push(space.views(columns.map((name) => cell(row, name))));
      kept.push(row);
    } catch (error) {
      if (!(error instanceof HildaError) || error.code !== 'ARCHITECTURE_INVALID') throw error;
      fault = error;
    }
  }
  if (kept.length === 0) throw fault;
  return { views, kept, dropped: rows.length - kept.length };
}

function cell(row: Row, column: string): string {
  const value = row[column];
  if (value === undefined)
    throw new HildaError('USAGE_INVALID', `the table has no column ${column}`, {
      hint: `Columns: ${Object.keys(row).join(', ')}.`,
    });
  return value;
}

/** An empty cell is no zero. */
const toNumber = (text: string): number => (text.trim() === '' ? Number.NaN : Number(text));

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
    const key = JSON.stringify(Object.values(view).map((features) => [...features]));
    groups.set(key, [...(groups.get(key) ?? []), values[i] as number]);
  });
  const spreads = [...groups.values()]
    .filter((group) => new Set(group).size > 1)
    .map((group) => Math.max(...group) / Math.min(...group) - 1)
    .sort((a, b) => a - b);
  return { groups: spreads.length, medianSpread: spreads[spreads.length >> 1] ?? 0 };
}
