import { formatMetric } from '../../core/quantities.js';
import type { Report } from './report.js';

/** What of a report breaks a promise: one sentence each. None: the run passes. */
export interface Gate {
  /** Limits, the baseline, the other network of two in turn. */
  readonly broken: readonly string[];
  /** Cases without a valid measurement. */
  readonly failed: readonly string[];
  /** What the intervals do not decide. */
  readonly unclear: readonly string[];
}

export function gateOf({ run, rows, limits, alternated, comparison }: Report): Gate {
  const broken: string[] = [];
  const unclear: string[] = [];
  for (const { metric, max, network, place, value, interval, state } of limits) {
    const limit = formatMetric(metric, max, null);
    if (state === 'absent') broken.push(`no measurement has ${metric}, limited to ${limit}`);
    if (value === null || (state !== 'broken' && state !== 'unclear')) continue;
    (state === 'broken' ? broken : unclear).push(
      `${network} on ${place}: ${metric} ${formatMetric(metric, value, interval)}, limited to ${limit}`,
    );
  }
  for (const { network, place, metric, ratio } of comparison?.compared ?? []) {
    const told = `${network} on ${place}: ${metric} ${describeChange(ratio)} against run ${comparison?.with.id}`;
    if (ratio.verdict === 'worse') broken.push(told);
    if (ratio.verdict === 'unclear') unclear.push(told);
  }
  for (const { network, place, why } of comparison?.lost ?? [])
    broken.push(`${network} on ${place} is lost against run ${comparison?.with.id}: ${why}`);
  for (const { networks, place, metric, ratio, pairs } of alternated) {
    const told = `${networks[1]} against ${networks[0]} on ${place}: ${metric}`;
    if (!ratio) unclear.push(`${told} of ${pairs} pairs says too little`);
    else if (ratio.verdict === 'worse') broken.push(`${told} ${describeChange(ratio)}`);
    else if (ratio.verdict === 'unclear') unclear.push(`${told} ${describeChange(ratio)}`);
  }
  const failed = rows.flatMap(({ network, place, failures }) =>
    failures.map((why) => `${network} on ${place}: ${why}`),
  );
  if (run.state !== 'done' && run.state !== 'running') failed.push(`the run ${run.id} is ${run.state}`);
  return { broken, failed, unclear };
}

interface Pair {
  readonly network: string;
  readonly place: string;
  readonly otherPlace: string;
  readonly intervalOf: string | null;
  readonly ratio: number;
  readonly interval: readonly [number, number];
  readonly exact: boolean;
}

/** A pair of which a side is imported, in one sentence. An interval that nothing tells is not shown. */
export const describeBeside = (pair: Pair): string =>
  `${pair.network} on ${pair.place}: latencyUs ${besideChange(pair)} against ${pair.otherPlace}`;

export const besideChange = ({
  intervalOf,
  ...change
}: Omit<Pair, 'network' | 'place' | 'otherPlace'>): string =>
  describeChange({ ...change, exact: intervalOf === null });

/** What a figure's interval reads as where there is none. */
export const withoutInterval = (provenance: string | null): string =>
  provenance === 'imported' ? 'not told' : 'exact';

export function describeChange({
  ratio,
  interval,
  exact,
}: {
  readonly ratio: number;
  readonly interval: readonly [number, number];
  readonly exact: boolean;
}): string {
  const range = exact ? '' : ` (${changeText(interval[0])} to ${changeText(interval[1])})`;
  return `${changeText(ratio)}${range}`;
}

const changeText = (ratio: number): string => {
  const percent = (ratio - 1) * 100;
  return `${percent >= 0 ? '+' : ''}${percent.toFixed(Math.abs(percent) < 10 ? 2 : 1)} %`;
};
