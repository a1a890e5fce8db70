import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { shuffled, Xoshiro128 } from '../../../daemon/core/rng.js';
import type { Views } from '../../../daemon/predict/contract.js';
import { byOperatorType } from '../../../daemon/predict/features/by-type.js';
import { spearman } from '../../../daemon/predict/statistics.js';
import { CellTableSpace } from '../../../daemon/search/spaces/nasbench/table.js';
import { ofaDecisions, ofaOperators, readOfa } from '../../../daemon/search/spaces/ofa/mobilenet.js';

/** One architecture of a published table: its descriptions, and its latency in ms by column. */
export interface PublishedRow {
  readonly views: Views;
  readonly latencyMs: Readonly<Record<string, number>>;
  readonly accuracy: number;
}

/** HELP's split of NAS-Bench-201's devices (Lee et al. 2021). */
export const helpSources = [
  '1080ti_1',
  '1080ti_32',
  '1080ti_256',
  'silver_4114',
  'silver_4210r',
  'samsung_a50',
  'pixel3',
  'essential_ph_1',
  'samsung_s7',
] as const;
export const helpTargets = ['titan_rtx_256', 'gold_6226', 'fpga', 'pixel2', 'raspi4', 'eyeriss'] as const;

/** Ends the process with one plain line when the data are not there. */
function readTable(bench: string, folder: string, name: string): Record<string, string>[] {
  const file = join(folder, name);
  if (!existsSync(file)) {
    console.error(`bench ${bench}: ${file} is missing; name the folder that holds it with --data DIR`);
    process.exit(1);
  }
  const bytes = readFileSync(file);
  const [head, ...lines] = (name.endsWith('.gz') ? gunzipSync(bytes) : bytes)
    .toString('utf8')
    .trim()
    .split('\n');
  const header = (head as string).split(',');
  return lines.map((line) => {
    const cells = line.split(',');
    return Object.fromEntries(header.map((column, i) => [column, cells[i] as string]));
  });
}

const latencies = (row: Record<string, string>): Record<string, number> =>
  Object.fromEntries(
    Object.entries(row).flatMap(([column, value]) =>
      column.startsWith('lat_') ? [[column.slice('lat_'.length), Number(value)]] : [],
    ),
  );

/** NAS-Bench-201, cells without a path from input to output left out. */
export function readCells(bench: string, folder: string): PublishedRow[] {
  const space = new CellTableSpace();
  return readTable(bench, folder, 'nb201.csv.gz').flatMap((row) => {
    const cell = [...(row.ops as string)].map(Number);
    try {
      return [{ views: space.views(cell), latencyMs: latencies(row), accuracy: Number(row.c10_test200) }];
    } catch {
      return [];
    }
  });
}

export function readOfaRows(bench: string, folder: string): PublishedRow[] {
  return readTable(bench, folder, 'ofa5000.csv.gz').map((row) => {
    const architecture = readOfa(row.ks as string, row.e as string, row.d as string, row.r as string);
    const operators = ofaOperators(architecture);
    return {
      views: { types: byOperatorType(operators), decisions: ofaDecisions(architecture) },
      latencyMs: latencies(row),
      accuracy: Number.NaN,
    };
  });
}

/** A reproducible split: the first `train` rows to learn from, the next `test` to be asked about. */
export function split<T>(
  rows: readonly T[],
  train: number,
  test: number,
  seed: number,
): { train: T[]; test: T[] } {
  const mixed = shuffled(Xoshiro128.fromSeed(seed), rows);
  return { train: mixed.slice(0, train), test: mixed.slice(train, train + test) };
}

export function scoresOf(
  measured: readonly number[],
  predicted: ArrayLike<number>,
): { spearman: number; mape: number; within10: number } {
  const errors = measured.map((y, i) => Math.abs((predicted[i] as number) / y - 1));
  return {
    spearman: spearman(measured, Array.from(predicted)),
    mape: (100 * errors.reduce((sum, e) => sum + e, 0)) / errors.length,
    within10: errors.filter((e) => e <= 0.1).length / errors.length,
  };
}
