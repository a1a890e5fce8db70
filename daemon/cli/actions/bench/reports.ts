import { writeFile } from 'node:fs/promises';
import {
  besideChange,
  describeBeside,
  describeChange,
  withoutInterval,
} from '../../../benchmarks/comparison/gate.js';
import { csvOf } from '../../../benchmarks/reports/csv.js';
import type { ReportDocument } from '../../../benchmarks/reports/document.js';
import { junitOf } from '../../../benchmarks/reports/junit.js';
import { markdownOf } from '../../../benchmarks/reports/markdown.js';
import { HildaError } from '../../../core/errors.js';
import { formatMetric } from '../../../core/quantities.js';
import type { CliContext } from '../../context.js';
import type { ReportFormat } from '../../report-formats.js';
import { toneOfState } from '../../terminal/layout.js';
import { formatTable } from '../../terminal/table.js';

const writers: Readonly<Record<ReportFormat, (document: ReportDocument) => string>> = {
  junit: junitOf,
  markdown: markdownOf,
  csv: csvOf,
  json: (document) => `${JSON.stringify({ schema: 'hilda.benchmark.v1', report: document }, null, 2)}\n`,
};

export const written = (document: ReportDocument, format: ReportFormat): string => writers[format](document);

export interface ReportFiles {
  readonly junit?: string;
  readonly markdown?: string;
  readonly csv?: string;
}

export async function writeReports(document: ReportDocument, files: ReportFiles): Promise<void> {
  for (const format of ['junit', 'markdown', 'csv'] as const) {
    const path = files[format];
    if (path !== undefined) await writeFile(path, written(document, format));
  }
}

/** For people on a terminal. */
export function describeReport(document: ReportDocument, { terminal }: CliContext): string {
  const { run, suite, state, rows, comparison, alternated, broken, failed, unclear, beside } = document;
  const figures = rows.flatMap(({ network, place, provenance, figures }) =>
    figures.map((one) => ({ network, place, provenance, ...one })),
  );
  const parts = [
    document.imported
      ? `Run ${run} of ${suite} is imported: nothing of it was measured here.`
      : `Run ${run} of ${suite} is ${state}.`,
    ...(figures.length === 0
      ? []
      : [
          formatTable(
            [
              { title: 'NETWORK', value: (one: (typeof figures)[number]) => one.network },
              { title: 'ON', value: (one) => one.place },
              { title: 'METRIC', value: (one) => one.metric },
              { title: 'VALUE', align: 'right', value: (one) => formatMetric(one.metric, one.value) },
              {
                title: '95 %',
                value: ({ metric, interval, provenance }) =>
                  interval
                    ? interval.map((end) => formatMetric(metric, end)).join(' to ')
                    : withoutInterval(provenance),
              },
            ],
            figures,
            terminal,
          ),
        ]),
    ...(comparison
      ? [
          `Against run ${comparison.with}${comparison.suiteChanged ? ', whose suite was another one' : ''}:`,
          formatTable(
            [
              { title: 'NETWORK', value: (one: (typeof comparison.compared)[number]) => one.network },
              { title: 'ON', value: (one) => one.place },
              { title: 'METRIC', value: (one) => one.metric },
              { title: 'CHANGE', value: describeChange },
              { title: 'VERDICT', value: (one) => one.verdict, tone: toneOfState },
            ],
            comparison.compared,
            terminal,
          ),
        ]
      : []),
    ...(beside
      ? [
          `Beside run ${beside.with}, imported figures on either side or both:`,
          formatTable(
            [
              { title: 'NETWORK', value: (one: (typeof beside.pairs)[number]) => one.network },
              { title: 'ON', value: (one) => one.place },
              { title: 'NOW', align: 'right', value: (one) => formatMetric(one.metric, one.now) },
              { title: 'BESIDE', value: (one) => one.otherPlace },
              { title: 'THERE', align: 'right', value: (one) => formatMetric(one.metric, one.before) },
              { title: 'DIFFERENCE', value: besideChange },
              { title: 'VERDICT', value: (one) => one.verdict, tone: toneOfState },
            ],
            beside.pairs,
            terminal,
          ),
        ]
      : []),
    ...(alternated.length > 0
      ? [
          formatTable(
            [
              { title: 'IN TURN ON', value: (one: (typeof alternated)[number]) => one.place },
              { title: 'SECOND', value: (one) => one.networks[1] },
              { title: 'OVER FIRST', value: (one) => one.networks[0] },
              { title: 'METRIC', value: (one) => one.metric },
              { title: 'PAIRS', align: 'right', value: (one) => String(one.pairs) },
              {
                title: 'CHANGE',
                value: ({ ratio }) => (ratio ? describeChange(ratio) : 'too few pairs'),
              },
              { title: 'VERDICT', value: ({ ratio }) => ratio?.verdict ?? 'unclear', tone: toneOfState },
            ],
            alternated,
            terminal,
          ),
        ]
      : []),
    ...broken.map((one) => `broken: ${one}`),
    ...failed.map((one) => `not measured: ${one}`),
    ...unclear.map((one) => `not decided: ${one}`),
  ];
  return parts.join('\n');
}

interface GateOptions {
  readonly strict: boolean;
  /** Imported figures count, too. */
  readonly gateImported: boolean;
}

/**
 * Throws LIMIT_BROKEN for what broke, `strict` also for what is not decided, and MEASUREMENT_INVALID for what is missing. Imported
 * figures break nothing unless asked for.
 */
export function gate(
  { run, broken, failed, unclear, beside }: ReportDocument,
  { strict, gateImported }: GateOptions,
): void {
  const held = (gateImported && beside?.pairs) || [];
  const refused = [
    ...broken,
    ...held.filter(({ verdict }) => verdict === 'worse').map(describeBeside),
    ...(strict
      ? [...unclear, ...held.filter(({ verdict }) => verdict === 'unclear').map(describeBeside)]
      : []),
  ];
  const [first, ...more] = refused.length > 0 ? refused : failed;
  if (first === undefined) return;
  throw new HildaError(
    refused.length > 0 ? 'LIMIT_BROKEN' : 'MEASUREMENT_INVALID',
    `run ${run}: ${first}${more.length > 0 ? `, and ${more.length} more` : ''}`,
    { details: { run, broken: refused.slice(0, 20), failed: failed.slice(0, 20) } },
  );
}
