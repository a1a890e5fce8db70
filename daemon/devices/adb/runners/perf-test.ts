import { LabelledFigures } from './labelled-figures.js';
import { wholeLines } from './output-lines.js';
import { checkedReport, emptyReport, type RunnerReport, readFigure, unreadable } from './report.js';

const name = 'onnxruntime_perf_test';

/** How releases name the mean, newest first. */
const means = [
  { label: 'Average inference time cost total:', form: 'perf_test: average total' },
  { label: 'Average inference time cost:', form: 'perf_test: average' },
  { label: 'Average time cost:', form: 'perf_test: first releases' },
] as const;

const latency = (which: string): string[] => [`${which} Latency:`, `${which} Latency is`];

/**
 * Reads what onnxruntime_perf_test prints (onnxruntime/test/perftest/performance_runner.cc and .h, 2019 to 2026), and the
 * result file that it was told to write: a line for each run. Sums and percentiles are seconds, means milliseconds;
 * every figure is read with the unit that stands behind it. Throws RUNNER_OUTPUT_INVALID.
 */
export function readPerfTest(output: string, resultFile: string | null = null): RunnerReport {
  const lines = wholeLines(output);
  const figures = new LabelledFigures(name, lines, output);
  const mean = means.find(({ label }) => lines.some((line) => line.startsWith(label)));
  if (!mean) throw unreadable(name, 'it printed no average time', output);
  const meanUs = figures.timeUs([mean.label]);
  const runs = figures.count(['Total inference requests:', 'Total iterations:', 'Runs:']);
  const totalUs = figures.timeUs(['Total inference time cost:', 'Total time cost:'], 's');
  if (meanUs !== null && runs !== null && totalUs !== null) {
    const apart = Math.abs(totalUs / runs - meanUs);
    // The digits that are printed of a mean and of a sum differ.
    if (apart > 2e-3 * Math.abs(meanUs) + 1e-6)
      throw unreadable(name, `the mean is ${meanUs} us, the sum ${totalUs} us of ${runs} runs`, output);
  }
  const firstRunUs = figures.timeUs(['First inference time cost:']);
  const written = resultFile === null ? [] : fileTimes(resultFile, output);
  const spoken = written.length > 0 ? written : spokenTimes(lines, output);
  return checkedReport(
    {
      ...emptyReport,
      form: mean.form,
      runs,
      samplesUs: spoken.length > 0 ? spoken : null,
      meanUs,
      medianUs: figures.timeUs(latency('P50')),
      minUs: figures.timeUs(latency('Min')),
      maxUs: figures.timeUs(latency('Max')),
      p90Us: figures.timeUs(latency('P90')),
      loadUs: figures.timeUs(['Session creation time cost:']),
      // Printed in whole milliseconds, rounded down: 0 says no more than that it was shorter than one.
      firstRunUs: firstRunUs === 0 ? null : firstRunUs,
      peakBytes: figures.count(['Peak working set size:']) || null,
    },
    name,
    output,
  );
}

/** `model,seconds,peak,usage,run`, one line a run; statistics behind them are left alone. */
function fileTimes(resultFile: string, output: string): number[] {
  const rows = wholeLines(resultFile).flatMap((line) => {
    const fields = line.split(',');
    return fields.length >= 5 && /^\d+$/.test(fields.at(-1) ?? '') ? [fields.slice(-4)] : [];
  });
  if (rows.length === 0 && resultFile.trim() !== '')
    throw unreadable(name, 'the result file holds no whole line of a run', `${output}${resultFile}`);
  return rows.map(([seconds = '', , , run = ''], i) => {
    if (Number(run) !== i)
      throw unreadable(
        name,
        `the result file holds run ${run} in place of run ${i}`,
        `${output}${resultFile}`,
      );
    return microsecondsIn(seconds, output);
  });
}

/** `iteration:1,time_cost:0.0021`, seconds, which `-v` prints. */
function spokenTimes(lines: readonly string[], output: string): number[] {
  return lines.flatMap((line) => {
    const [, seconds] = /^iteration:\d+,time_cost:(.*)$/.exec(line) ?? [];
    return seconds === undefined ? [] : [microsecondsIn(seconds, output)];
  });
}

const microsecondsIn = (seconds: string, output: string): number =>
  readFigure(seconds, { runner: name, what: 'the time of a run', output }) * 1e6;
