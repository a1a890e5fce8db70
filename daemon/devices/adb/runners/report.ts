import { HildaError } from '../../../core/errors.js';
import { readNumber } from './quantity.js';

/** What one run of a native runner says, microseconds and bytes; null where it does not say. */
export interface RunnerReport {
  /** The form of output that was read, e.g. `perf_test: average total`: releases differ. */
  readonly form: string;
  readonly runs: number | null;
  /** The time of each run, in order, where the runner gives them. */
  readonly samplesUs: readonly number[] | null;
  readonly meanUs: number | null;
  readonly medianUs: number | null;
  readonly minUs: number | null;
  readonly maxUs: number | null;
  readonly p90Us: number | null;
  readonly deviationUs: number | null;
  readonly loadUs: number | null;
  readonly firstRunUs: number | null;
  readonly peakBytes: number | null;
  /** The runner's release or build, where its output tells. */
  readonly version: string | null;
}

/** Which figure stands for a leg: each run, or the one figure that the runner gives of them all. */
export type Statistic = 'runs' | 'median' | 'mean';

export const statisticOf = ({ samplesUs, medianUs }: RunnerReport): Statistic =>
  samplesUs ? 'runs' : medianUs === null ? 'mean' : 'median';

/** The times of a leg: of all runs, or one figure for them. */
export function legSamples(report: RunnerReport, statistic: Statistic): Float64Array | null {
  const { samplesUs, medianUs, meanUs } = report;
  if (statistic === 'runs') return samplesUs && Float64Array.from(samplesUs);
  const one = statistic === 'median' ? medianUs : meanUs;
  return one === null ? null : Float64Array.of(one);
}

export const emptyReport: Omit<RunnerReport, 'form'> = {
  runs: null,
  samplesUs: null,
  meanUs: null,
  medianUs: null,
  minUs: null,
  maxUs: null,
  p90Us: null,
  deviationUs: null,
  loadUs: null,
  firstRunUs: null,
  peakBytes: null,
  version: null,
};

/** A refusal of what a runner printed, with its last lines. */
export const unreadable = (runner: string, why: string, output: string): HildaError =>
  new HildaError('RUNNER_OUTPUT_INVALID', `${runner}: ${why}`, {
    details: { output: lastLines(output) },
  });

/** A printed figure. Throws RUNNER_OUTPUT_INVALID, with `what` it is, for what is no number. */
export function readFigure(
  text: string,
  { runner, what, output }: { readonly runner: string; readonly what: string; readonly output: string },
): number {
  const found = readNumber(text);
  if ('fault' in found) throw unreadable(runner, `${what}: ${found.fault}`, output);
  return found.value;
}

/** Figures that stand as `key=value` in a line. */
export const keyedFigures = (
  line: string,
  { runner, output }: { readonly runner: string; readonly output: string },
): ReadonlyMap<string, number> =>
  new Map(
    [...line.matchAll(/(\w+)=([^\s(]+)/g)].map(([, key = '', text = '']) => [
      key,
      readFigure(text, { runner, what: key, output }),
    ]),
  );

export const lastLines = (text: string, most = 5): string =>
  text
    .split(/\r?\n/)
    .filter((line) => line.trim() !== '')
    .slice(-most)
    .join('\n')
    .slice(-2000);

/** The least time, microseconds, that so many runs took by a report, with the time to load. */
export function leastTotalUs({ samplesUs, meanUs, medianUs, loadUs }: RunnerReport, runs: number): number {
  const timed = samplesUs
    ? samplesUs.reduce((sum, us) => sum + us, 0)
    : // Half of the runs took the median or more.
      Math.max((meanUs ?? 0) * runs, (medianUs ?? 0) * Math.ceil(runs / 2));
  return timed + (loadUs ?? 0);
}

/** A nanosecond and an hour: no network runs or loads in less, and no program is waited for so long. */
const [leastUs, mostUs] = [1e-3, 3.6e9];
/** A tebibyte. */
const mostBytes = 2 ** 40;

/** Printed figures have six digits; sums of rounded figures are off by a little more. */
const rounding = 2e-3;

/**
 * Gives a report back whose figures agree with one another. Throws RUNNER_OUTPUT_INVALID where a figure is one that cannot be,
 * the figures are out of order, or a mean is not that of its runs: a digit was lost or two outputs were mixed.
 */
export function checkedReport(report: RunnerReport, runner: string, output: string): RunnerReport {
  const refuse = (why: string): never => {
    throw unreadable(runner, why, output);
  };
  const times = { ...report, samplesUs: null };
  const inBounds = (us: number, what: string): void => {
    if (!(us > 0)) refuse(`${what} ${us} us, which is not positive`);
    if (us < leastUs || us > mostUs) refuse(`${what} ${us} us, which no run takes`);
  };
  for (const name of ['meanUs', 'medianUs', 'minUs', 'maxUs', 'p90Us', 'loadUs', 'firstRunUs'] as const)
    if (times[name] !== null) inBounds(times[name], `${names[name]} is`);
  report.samplesUs?.forEach((us, i) => {
    inBounds(us, `run ${i + 1} took`);
  });
  if (report.deviationUs !== null && !(report.deviationUs >= 0 && report.deviationUs <= mostUs))
    refuse(`the standard deviation is ${report.deviationUs} us`);
  if (report.peakBytes !== null && !(report.peakBytes > 0 && report.peakBytes <= mostBytes))
    refuse(`the peak of memory is ${report.peakBytes} bytes`);
  if (report.samplesUs?.length === 0) refuse('it gives the times of no run');
  if (report.meanUs === null && report.medianUs === null && report.samplesUs === null)
    refuse('it printed no time');
  if (report.runs !== null && !(Number.isInteger(report.runs) && report.runs > 0))
    refuse(`it counts ${report.runs} runs`);
  const { minUs, maxUs, medianUs, meanUs, p90Us, samplesUs, runs } = report;
  if (samplesUs && runs !== null && samplesUs.length !== runs)
    refuse(`it counts ${runs} runs and gives the times of ${samplesUs.length}`);
  const ordered = (low: number | null, high: number | null, what: string): void => {
    if (low !== null && high !== null && low > high * (1 + rounding))
      refuse(`${what}: ${low} us, ${high} us`);
  };
  ordered(minUs, medianUs, 'the least time is above the median');
  ordered(medianUs, p90Us, 'the median is above the 90th percentile');
  ordered(medianUs, maxUs, 'the median is above the longest time');
  ordered(minUs, meanUs, 'the least time is above the mean');
  ordered(p90Us, maxUs, 'the 90th percentile is above the longest time');
  ordered(meanUs, maxUs, 'the mean is above the longest time');
  if (samplesUs && meanUs !== null) {
    const own = samplesUs.reduce((sum, us) => sum + us, 0) / samplesUs.length;
    if (Math.abs(own - meanUs) > rounding * meanUs)
      refuse(`the mean is ${meanUs} us, that of the runs ${own} us`);
  }
  return report;
}

const names = {
  meanUs: 'the mean time',
  medianUs: 'the median time',
  minUs: 'the least time',
  maxUs: 'the longest time',
  p90Us: 'the 90th percentile',
  loadUs: 'the time to load',
  firstRunUs: 'the first run',
} as const;
