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
  'beside',
  'source',
] as const;
type Row = Partial<Record<(typeof columns)[number], string | number | null>>;

/** RFC 4180, one line a metric of each network and place. A text that a spreadsheet would take for a formula begins with `'`. */
export function csvOf(document: ReportDocument): string {
  const { run, suite, rows, comparison, beside } = document;
  const lines = rows.flatMap(({ network, place, provenance, figures, failures, imported }): Row[] => {
    const plain = {
      run,
      suite,
      network,
      place,
      provenance,
      ...(imported && { source: sourceText(imported.source) }),
    };
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
      ...(beside?.pairs ?? [])
        .filter((one) => one.network === network && one.place === place)
        .map(({ metric, now, before, ratio, interval, intervalOf, verdict, otherPlace }) => ({
          ...plain,
          metric,
          value: now,
          before,
          ratio,
          ratioLow: intervalOf === null ? null : interval[0],
          ratioHigh: intervalOf === null ? null : interval[1],
          verdict,
          beside: otherPlace,
        })),
    ];
  });
  return [columns.join(','), ...lines.map((row) => columns.map((name) => cell(row[name])).join(','))]
    .map((line) => `${line}\r\n`)
    .join('');
}

const sourceText = ({
  file,
  sha256,
  row,
}: {
  readonly file: string;
  readonly sha256: string;
  readonly row: number;
}): string => `${file}, row ${row}, SHA-256 ${sha256}`;

function cell(value: string | number | null | undefined): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'number') return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) || safe !== value ? `"${safe.replaceAll('"', '""')}"` : safe;
}
