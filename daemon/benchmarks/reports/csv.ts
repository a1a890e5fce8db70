import type { ReportDocument } from './document.js';

const columns = [
  'run',
  'suite',
  'network',
  'place',
  'provenance',
  'metric',
  'value',
  'low',
  'high',
  'before',
  'ratio',
  'ratioLow',
  'ratioHigh',
  'verdict',
  'failure',
] as const;
type Row = Partial<Record<(typeof columns)[number], string | number | null>>;

/** RFC 4180, one line a metric of each network and place. A text that a spreadsheet would take for a formula begins with `'`. */
export function csvOf(document: ReportDocument): string {
  const { run, suite, rows, comparison } = document;
  const lines = rows.flatMap(({ network, place, provenance, figures, failures }): Row[] => {
    const plain = { run, suite, network, place, provenance };
    return [
      ...figures.map(({ metric, value, interval }) => {
        const held = comparison?.compared.find(
          (one) => one.network === network && one.place === place && one.metric === metric,
        );
        return {
          ...plain,
          metric,
          value,
          low: interval?.[0] ?? null,
          high: interval?.[1] ?? null,
          ...(held && {
            before: held.before,
            ratio: held.ratio,
            ratioLow: held.interval[0],
            ratioHigh: held.interval[1],
            verdict: held.verdict,
          }),
        };
      }),
      ...failures.map((failure) => ({ ...plain, failure })),
    ];
  });
  return [columns.join(','), ...lines.map((row) => columns.map((name) => cell(row[name])).join(','))]
    .map((line) => `${line}\r\n`)
    .join('');
}

function cell(value: string | number | null | undefined): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) || safe !== value ? `"${safe.replaceAll('"', '""')}"` : safe;
}
