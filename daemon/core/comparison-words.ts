import type { EvidenceOf } from './evidence.js';
import type { Interval } from './intervals.js';
import { metricTitle } from './metric-title.js';
import { formatMetric, formatShareInterval } from './quantities.js';

/** How networks compare, for people: the same words on the command line and on the page. */

interface Shown {
  readonly values: Readonly<Record<string, number>>;
  readonly provenance: 'measured' | 'emulated' | 'predicted' | 'imported';
  readonly evidence: EvidenceOf;
}

interface Compared {
  readonly trialNumber: number;
  readonly metric: string;
  readonly difference: number;
  readonly ci: Interval;
  readonly basis: 'paired' | 'independent';
  readonly apart: boolean;
}

/** A value with as many digits as its interval allows, and the interval where it is evaluated. */
export function evaluatedText(metric: string, values: Shown['values'], evidence: EvidenceOf): string {
  const value = Object.hasOwn(values, metric) ? values[metric] : undefined;
  const ci = Object.hasOwn(evidence, metric) ? evidence[metric]?.ci : undefined;
  return formatMetric(metric, value, ci) + (ci ? ` (${formatShareInterval(ci)})` : '');
}

/** From which neighbours a member of a front cannot be told, e.g. `accuracy: trial 7; latency: trial 5`. */
export function notApartText(beside: readonly Compared[], rows: readonly Shown[], device?: string): string {
  const close = beside.filter(({ apart }) => !apart);
  return [...new Set(close.map(({ metric }) => metric))]
    .map((metric) => {
      const trials = close.flatMap((one) => (one.metric === metric ? [one.trialNumber] : []));
      return `${metricTitle(metric, rows, device)}: trial ${trials.join(' and ')}`;
    })
    .join('; ');
}

/** `+0.4 % (-0.5 to 1.3)`, and how it was compared. */
export function differenceText({ metric, difference, ci, basis }: Compared): string {
  const sign = difference > 0 ? '+' : difference < 0 ? '-' : '';
  const size = formatMetric(metric, Math.abs(difference), ci);
  const interval = /accuracy/i.test(metric)
    ? formatShareInterval(ci)
    : ci.map((end) => (end < 0 ? `-${formatMetric(metric, -end)}` : formatMetric(metric, end))).join(' to ');
  const how = basis === 'paired' ? 'image by image' : 'by their intervals';
  return `${sign}${size} (95 %: ${interval}), ${how}`;
}

/** Where evaluated values come from, a line each; those without an interval say so. */
export function sourceLines(rows: readonly Shown[], device?: string): string[] {
  const lines = rows.flatMap(({ evidence }) =>
    Object.entries(evidence).map(([metric, { ci, source }]) => {
      const title = metricTitle(metric, rows, device);
      return `${title}: ${source}${ci ? '' : '; no interval is known'}`;
    }),
  );
  return [...new Set(lines)];
}
