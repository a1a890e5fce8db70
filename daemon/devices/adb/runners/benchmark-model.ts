import { wholeLines } from './output-lines.js';
import { readNumber } from './quantity.js';
import {
  checkedReport,
  emptyReport,
  keyedFigures,
  type RunnerReport,
  readFigure,
  unreadable,
} from './report.js';

const name = 'benchmark_model';

/** How releases sum up, newest first; microseconds. */
const sums = [
  {
    form: 'benchmark_model: init, first, warm-up, inference',
    pattern:
      /^Inference timings in us: Init: (?<init>[^,]*), First inference: (?<first>[^,]*), Warmup \(avg\): (?<warm>[^,]*), Inference \(avg\): (?<mean>.*)$/,
  },
  {
    form: 'benchmark_model: average, inference',
    pattern:
      /^Average inference timings in us: Warmup: (?<warm>[^,]*), Init: (?<init>[^,]*), Inference: (?<mean>.*)$/,
  },
  {
    form: 'benchmark_model: average, no stats',
    pattern:
      /^Average inference timings in us: Warmup: (?<warm>[^,]*), Init: (?<init>[^,]*), no stats: (?<mean>[^,]*)(?:, with stats: .*)?$/,
  },
];

/**
 * Reads what TensorFlow Lite's benchmark_model prints (tensorflow/lite/tools/benchmark/benchmark_model.cc, 2018 to 2025, and
 * LiteRT's): microseconds, and megabytes that it calls approximate. It gives no run's own time: newer releases print
 * the median, older ones the mean alone. Throws RUNNER_OUTPUT_INVALID.
 */
export function readBenchmarkModel(output: string): RunnerReport {
  const lines = wholeLines(output);
  const sum = sums.flatMap(({ form, pattern }) =>
    lines.flatMap((line) => {
      const groups = pattern.exec(line)?.groups;
      return groups ? [{ form, groups }] : [];
    }),
  );
  const [found] = sum;
  if (!found) throw unreadable(name, 'it printed no inference timings', output);
  if (sum.length > 1) throw unreadable(name, 'it printed the inference timings of several runs', output);
  const time = (text: string | undefined, what: string): number | null =>
    text === undefined ? null : readFigure(text, { runner: name, what, output });
  const { init, first, mean } = found.groups;
  // The last such line is of the timed runs, the first of the warm-up's. Those of profiles have another beginning.
  const statistics = lines.findLast((line) => line.startsWith('count=')) ?? '';
  const counts = keyedFigures(statistics, { runner: name, output });
  const meanUs = time(mean, 'the mean time');
  const own = counts.get('avg') ?? counts.get('curr') ?? null;
  if (own !== null && meanUs !== null && Math.abs(own - meanUs) > 2e-3 * Math.abs(meanUs) + 0.5)
    throw unreadable(name, `the mean is ${meanUs} us, that of its statistics ${own} us`, output);
  const same = counts.size > 0 && !counts.has('avg') ? meanUs : null;
  return checkedReport(
    {
      ...emptyReport,
      form: found.form,
      runs: counts.get('count') ?? null,
      meanUs,
      medianUs: counts.get('median') ?? null,
      minUs: counts.get('min') ?? same,
      maxUs: counts.get('max') ?? same,
      deviationUs: counts.get('std') ?? null,
      loadUs: time(init, 'the time to load'),
      firstRunUs: time(first, 'the first run'),
      peakBytes: footprint(lines),
    },
    name,
    output,
  );
}

/** Bytes; null where the tool could not tell, which it prints as 0 or less. */
function footprint(lines: readonly string[]): number | null {
  for (const line of lines) {
    const [, text] =
      /^(?:Peak memory footprint|Memory footprint delta from the start of the tool) \(MB\): init=\S+ overall=(\S+)$/.exec(
        line,
      ) ?? [];
    if (text === undefined) continue;
    const number = readNumber(text);
    return 'value' in number && number.value > 0 ? Math.round(number.value * 2 ** 20) : null;
  }
  return null;
}
