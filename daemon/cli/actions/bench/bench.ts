import { writeFile } from 'node:fs/promises';
import type { BenchmarkRunView } from '../../../api/benchmark-schemas.js';
import { formatMetric } from '../../../core/quantities.js';
import type { CliContext } from '../../context.js';
import { percent } from '../../describe-change.js';
import { formatTime } from '../../format.js';
import { readSuite } from '../../read-suite.js';
import type { ReportFormat } from '../../report-formats.js';
import { toneOfState } from '../../terminal/layout.js';
import { followRun } from './follow-run.js';
import { describeReport, gate, type ReportFiles, writeReports, written } from './reports.js';

export interface RunOptions extends ReportFiles {
  readonly compare?: string;
  readonly strict?: boolean;
  readonly gateImported?: boolean;
  readonly detach?: boolean;
}

export async function runAction(context: CliContext, file: string, options: RunOptions): Promise<void> {
  const { client, terminal } = context;
  const started = await client.startBenchmark(await readSuite(file, context), context);
  if (options.detach) {
    context.answer('benchmark-run', { run: started }, () => described(started));
    return;
  }
  terminal.note(`run ${started.id} goes on in the daemon if this command ends`);
  const run = await followRun(started, context);
  await tell(context, run.id, options.compare ?? null, options);
}

export const showAction = async (context: CliContext, id: string): Promise<void> => {
  const document = await context.client.benchmarkReport(id, null, context);
  context.answer('benchmark', { report: document }, () => describeReport(document, context));
};

export const compareAction = (
  context: CliContext,
  id: string,
  earlier: string | undefined,
  options: RunOptions,
): Promise<void> => tell(context, id, earlier ?? 'baseline', options);

async function tell(
  context: CliContext,
  id: string,
  earlier: string | null,
  { strict = false, gateImported = false, ...files }: RunOptions,
): Promise<void> {
  const document = await context.client.benchmarkReport(id, earlier, context);
  await writeReports(document, files);
  context.answer('benchmark', { report: document }, () => describeReport(document, context));
  gate(document, { strict, gateImported });
}

export async function exportAction(
  context: CliContext,
  id: string,
  {
    format,
    compare,
    out,
  }: { readonly format: ReportFormat; readonly compare?: string; readonly out?: string },
): Promise<void> {
  const document = await context.client.benchmarkReport(id, compare ?? null, context);
  const text = written(document, format);
  if (out === undefined) context.terminal.out(text.replace(/\r?\n$/, ''));
  else {
    await writeFile(out, text);
    context.answer('benchmark-export', { run: id, format, file: out }, () => `Wrote ${out}.`);
  }
}

export async function listAction(
  context: CliContext,
  filter: { readonly suite?: string; readonly limit: number },
): Promise<void> {
  const { runs } = await context.client.benchmarks(filter, context);
  context.answerTable(
    'benchmark-runs',
    { runs },
    [
      { title: 'RUN', value: (run) => run.id },
      { title: 'SUITE', value: (run) => run.suite },
      { title: 'STATE', value: (run) => run.state, tone: toneOfState },
      { title: 'DONE', align: 'right', value: (run) => `${run.done}/${run.of}` },
      { title: 'BASELINE', value: (run) => (run.isBaseline ? 'yes' : '') },
      { title: 'BEGAN (UTC)', value: (run) => formatTime(run.createdMs) },
      { title: 'WHY', value: (run) => run.problem?.detail ?? '' },
    ],
    runs,
    'There are no runs yet. Run `hilda bench run SUITE.yaml`.',
  );
}

export async function baselineAction(context: CliContext, id: string): Promise<void> {
  const baseline = await context.client.setBaseline(id, context);
  context.answer(
    'benchmark-baseline',
    { baseline },
    () => `Runs of ${baseline.suite} are held against run ${baseline.run}.`,
  );
}

export async function cancelAction(context: CliContext, id: string): Promise<void> {
  const run = await context.client.cancelBenchmark(id, context);
  context.answer('benchmark-run', { run }, () => described(run));
}

/** The series of each network and place of a run, with what changed in it. */
export async function historyAction(
  context: CliContext,
  id: string,
  { metric }: { readonly metric: string },
): Promise<void> {
  const { rows } = await context.client.benchmarkReport(id, null, context);
  const series = [];
  for (const { network, place, measurements } of rows) {
    const last = measurements.at(-1);
    if (last === undefined) continue;
    const { points, changes } = await context.client.history(last, metric, context);
    series.push({ network, place, points: points.length, last: points.at(-1) ?? null, changes });
  }
  context.answerTable(
    'benchmark-history',
    { metric, series },
    [
      { title: 'NETWORK', value: (one) => one.network },
      { title: 'ON', value: (one) => one.place },
      { title: 'POINTS', align: 'right', value: (one) => String(one.points) },
      {
        title: 'LAST',
        align: 'right',
        value: (one) => (one.last ? formatMetric(metric, one.last.value, one.last.ci) : '-'),
      },
      {
        title: 'LATEST CHANGE',
        value: ({ changes }) => {
          const change = changes.at(-1);
          if (!change) return 'none';
          return `${percent(change.ratio)} since ${change.since} (${formatTime(change.sinceMs)})`;
        },
      },
    ],
    series,
    'The run has no valid measurement.',
  );
}

const described = ({ id, suite, state, done, of }: BenchmarkRunView): string =>
  `Run ${id} of ${suite} is ${state}: ${done} of ${of} measurements.`;
