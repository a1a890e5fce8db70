import type { CliContext } from '../../context.js';
import { readImports } from '../../read-imports.js';
import { describeReport } from './reports.js';

interface Options {
  readonly device?: string;
  readonly suite: string;
}

/** The daemon never opens a path that a request names: this process reads the files and sends what they hold. */
export async function importAction(
  context: CliContext,
  path: string,
  { device, suite }: Options,
): Promise<void> {
  const { client, terminal } = context;
  const run = await client.importBenchmark(
    { suite, files: await readImports(path), device: device ?? null },
    context,
  );
  const report = await client.benchmarkReport(run.id, null, context);
  for (const caution of report.imported?.cautions ?? []) terminal.note(`caution: ${caution}`);
  context.answer('benchmark', { report }, () => describeReport(report, context));
}
