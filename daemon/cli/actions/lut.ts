import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { HildaError } from '../../core/errors.js';
import { type TableFormat, tableFormats } from '../../predict/tables/format-names.js';
import { parseTable } from '../../predict/tables/table-formats.js';
import { type CampaignOptions, campaignRequest } from '../campaign-request.js';
import type { CliContext } from '../context.js';
import { describePredictor } from '../describe-predictor.js';
import { followCampaign } from '../follow-campaign.js';
import { readInput } from '../read-input.js';
import { resolveId } from '../resolve-id.js';

type Keys = 'operators' | 'blocks' | 'layers';

interface TableOptions {
  readonly format: string;
  readonly keys?: string;
  readonly output?: string;
}

type BuildOptions = TableOptions & CampaignOptions;

const formatOf = (text: string): TableFormat => {
  if (tableFormats.includes(text as TableFormat)) return text as TableFormat;
  throw new HildaError('USAGE_INVALID', `--format: ${text} is none of ${tableFormats.join(', ')}`);
};

/** Each published format has keys of its own; a table of hilda's holds operators, or what it was imported with. */
function keysOf(text: string | undefined, format: TableFormat): Keys | undefined {
  if (text === undefined) return format === 'hilda' ? undefined : format === 'fbnet' ? 'layers' : 'blocks';
  if (text === 'operators' || text === 'blocks' || text === 'layers') return text;
  throw new HildaError('USAGE_INVALID', `--keys: ${text} is none of operators, blocks, layers`);
}

async function answerTable(context: CliContext, predictor: string, options: TableOptions): Promise<void> {
  const format = formatOf(options.format);
  const keys = keysOf(options.keys, format);
  const table = await context.client.latencyTable(predictor, { format, ...(keys && { keys }) }, context);
  const { additivity: a, entries, text } = table;
  context.terminal.note(
    a === null
      ? `${entries} entries, imported: how well its sums tell whole networks is not known`
      : `${entries} entries; the sum tells ${a.n} whole networks it has not seen with bias ${a.biasPercent.toFixed(1)} %, MAPE ${a.mapePercent.toFixed(1)} % (${a.scaledMapePercent.toFixed(1)} % after one factor of ${a.scale.toFixed(3)}), Kendall ${a.kendall.toFixed(3)}`,
  );
  if (options.output) {
    await writeFile(options.output, text);
    context.answer(
      'lut',
      { predictor, ...table, text: undefined, output: options.output },
      () => options.output as string,
    );
  } else context.answer('lut', { predictor, ...table }, () => text.trimEnd());
}

interface ImportOptions {
  readonly format: string;
  readonly device: string;
  readonly space: string;
  readonly protocol: string;
}

export async function buildAction(context: CliContext, options: BuildOptions): Promise<void> {
  keysOf(options.keys, formatOf(options.format));
  const started = await context.client.startCampaign(
    { ...(await campaignRequest(options, context)), profile: true },
    context,
  );
  const { predictorId } = await followCampaign(started, context);
  context.terminal.note(
    `kept as ${predictorId}: the same measurements predict whole networks (hilda predictor eval ${predictorId})`,
  );
  await answerTable(context, predictorId, options);
}

export async function exportAction(
  context: CliContext,
  predictor: string,
  options: TableOptions,
): Promise<void> {
  await answerTable(context, await resolveId('predictor', predictor, context), options);
}

export async function importAction(
  context: CliContext,
  paths: string[],
  { format, device, space, protocol }: ImportOptions,
): Promise<void> {
  const files = await Promise.all(
    paths.map(async (path) => ({
      name: basename(path),
      text: (await readInput(path)).toString('utf8'),
    })),
  );
  const predictor = await context.client.importTable(
    { files, format: formatOf(format), device: await resolveId('device', device, context), space, protocol },
    context,
  );
  context.answer('predictor', { predictor }, () => describePredictor(predictor));
}

export async function checkAction(
  context: CliContext,
  file: string,
  { format }: { readonly format: string },
): Promise<void> {
  const { table, ...about } = parseTable((await readInput(file)).toString('utf8'), formatOf(format), file);
  const means = [...table.values()].map(({ mean }) => mean);
  const range = { least: Math.min(...means), most: Math.max(...means) };
  context.answer(
    'lut-check',
    { ...about, entries: table.size, ...range },
    () =>
      `${table.size} entries, ${range.least.toPrecision(3)} to ${range.most.toPrecision(3)} ${about.unit}, ${about.provenance} from ${about.source}`,
  );
}
