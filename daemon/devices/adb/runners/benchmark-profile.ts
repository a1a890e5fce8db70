import { wholeLines } from './output-lines.js';
import {
  checkedReport,
  emptyReport,
  keyedFigures,
  type RunnerReport,
  readFigure,
  unreadable,
} from './report.js';

const name = 'profile of benchmark_model';
const regular = 'Operator-wise Profiling Info for Regular Benchmark Runs:';
const headings = /^node type, start, first, avg[_ ]ms, %, cdf%, mem KB, times called, name$/;

export interface ProfiledOperator {
  readonly op: string;
  readonly name: string;
  /** Mean over the runs. */
  readonly meanUs: number;
}

/**
 * Reads the table that benchmark_model writes with `--profiling_output_csv_file` (tensorflow/core/util/stats_calculator.cc):
 * operators in the order they ran, milliseconds, then the statistics of whole runs, microseconds. Newer releases have a
 * section for the initialisation first, which is no part of a run. Profiling slows the runs. Throws RUNNER_OUTPUT_INVALID.
 */
export function readBenchmarkProfile(
  output: string,
): RunnerReport & { readonly operators: readonly ProfiledOperator[] } {
  const lines = wholeLines(output);
  const own = lines.slice(lines.indexOf(regular) + 1);
  const start = own.findIndex((line) => headings.test(line));
  if (start < 0) throw unreadable(name, 'it holds no table of operators', output);
  const end = own.findIndex((line, i) => i > start && line === '');
  const operators = own.slice(start + 1, end < 0 ? undefined : end).map((line) => {
    const [op = '', , , average = '', , , , , ...rest] = line.split(',').map((field) => field.trim());
    if (rest.length === 0) throw unreadable(name, `${JSON.stringify(line)} lacks columns`, output);
    const meanUs = readFigure(average, { runner: name, what: op, output }) * 1000;
    if (meanUs < 0) throw unreadable(name, `${op} took ${meanUs} us`, output);
    return { op, name: rest.join(','), meanUs };
  });
  const timings = own.find((line) => line.startsWith('Timings (microseconds): '));
  if (timings === undefined) throw unreadable(name, 'it does not say how long the runs took', output);
  const figures = keyedFigures(timings, { runner: name, output });
  const report = checkedReport(
    {
      ...emptyReport,
      form: 'benchmark_model: profile',
      runs: figures.get('count') ?? null,
      meanUs: figures.get('avg') ?? figures.get('curr') ?? null,
      medianUs: figures.get('median') ?? null,
      minUs: figures.get('min') ?? null,
      maxUs: figures.get('max') ?? null,
      deviationUs: figures.get('std') ?? null,
    },
    name,
    output,
  );
  return { ...report, operators };
}
