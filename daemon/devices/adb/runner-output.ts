import { HildaError } from '../../core/errors.js';

/** What a native runner printed, microseconds and bytes; null where it does not say. */
export interface RunnerReport {
  readonly runs: number | null;
  readonly loadUs: number | null;
  readonly firstRunUs: number | null;
  readonly minUs: number | null;
  /** Median where the runner prints one, otherwise null. */
  readonly medianUs: number | null;
  readonly meanUs: number;
  readonly p90Us: number | null;
  readonly peakBytes: number | null;
}

const find = (text: string, pattern: RegExp, scale = 1): number | null => {
  const value = pattern.exec(text)?.[1];
  return value === undefined ? null : Number(value) * scale;
};

/** What onnxruntime_perf_test prints: seconds, save for the average, in milliseconds. */
export function parseOnnxRuntimePerfTest(text: string): RunnerReport {
  const mean = find(text, /Average inference time cost:\s*([\d.e+-]+)\s*ms/i, 1000);
  if (mean === null) throw unreadable('onnxruntime_perf_test', text);
  const seconds = (name: string): number | null =>
    find(text, new RegExp(`${name}:\\s*([\\d.e+-]+)\\s*s`, 'i'), 1e6);
  return {
    runs: find(text, /Total inference requests:\s*(\d+)/i),
    loadUs: seconds('Session creation time cost'),
    firstRunUs: find(text, /First inference time cost:\s*([\d.e+-]+)\s*ms/i, 1000),
    minUs: seconds('Min Latency'),
    medianUs: seconds('P50 Latency'),
    meanUs: mean,
    p90Us: seconds('P90 Latency'),
    peakBytes: find(text, /Peak working set size:\s*(\d+)\s*bytes/i),
  };
}

/** What TensorFlow Lite's benchmark_model prints: microseconds, and megabytes that it calls approximate. */
export function parseBenchmarkModel(text: string): RunnerReport {
  const timings =
    /Init:\s*([\d.e+]+),\s*First inference:\s*([\d.e+]+),.*Inference \(avg\):\s*([\d.e+]+)/i.exec(text);
  if (!timings) throw unreadable('benchmark_model', text);
  // The last line of counts is that of the runs; the one before, of the warm-up.
  const counts = [...text.matchAll(/count=(\d+)[^\n]*/g)].at(-1)?.[0] ?? '';
  return {
    runs: find(counts, /count=(\d+)/),
    loadUs: Number(timings[1]),
    firstRunUs: Number(timings[2]),
    minUs: find(counts, /min=([\d.e+]+)/),
    medianUs: find(counts, /p50=([\d.e+]+)/),
    meanUs: Number(timings[3]),
    p90Us: find(counts, /p90=([\d.e+]+)/),
    peakBytes: find(text, /overall=([\d.]+)/i, 2 ** 20),
  };
}

const unreadable = (runner: string, text: string): HildaError =>
  new HildaError('DEVICE_FAILED', `${runner} printed no result: ${text.trim().split('\n').at(-1) ?? ''}`, {
    hint: 'Run it by hand on the phone; its version may print otherwise.',
  });
