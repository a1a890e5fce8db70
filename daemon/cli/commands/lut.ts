import { writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { Command } from 'commander';
import { HildaError } from '../../core/errors.js';
import { parseTable, type TableFormat, tableFormats } from '../../predict/tables/table-formats.js';
import { act, type Terminal } from '../context.js';
import { followCampaign } from '../follow-campaign.js';
import { readInput } from '../read-input.js';
import { describePredictor, wholeNumber } from './predictor.js';

type Keys = 'operators' | 'blocks' | 'layers';

interface TableOptions {
  readonly format: string;
  readonly keys?: string;
  readonly output?: string;
}

interface BuildOptions extends TableOptions {
  readonly device: string;
  readonly space: string;
  readonly samples: string;
  readonly seed: string;
  readonly protocol: string;
}

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

const withTableOptions = (command: Command): Command =>
  command
    .option('-f, --format <name>', `${tableFormats.join(', ')}`, 'hilda')
    .option('--keys <kind>', 'operators, blocks or layers (default: what the format holds)')
    .option('-o, --output <file>', 'where to write the table (default: standard output)');

async function answerTable(
  context: Parameters<Parameters<typeof act>[1]>[0],
  predictor: string,
  options: TableOptions,
): Promise<void> {
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

const build = (terminal: Terminal): Command =>
  withTableOptions(
    new Command('build')
      .description(
        'a latency table of your own device: random whole networks of a space, profiled by operator',
      )
      .requiredOption('-d, --device <id>', 'where to measure')
      .requiredOption('-s, --space <name>', 'a space of profiles/spaces')
      .option('-n, --samples <count>', 'networks to measure', '30')
      .option('--seed <number>', 'which networks', '1')
      .option('-p, --protocol <name>', 'how to measure: quick, search or careful', 'search'),
  ).action(
    act(terminal, async (context, options: BuildOptions) => {
      const { device, space, protocol } = options;
      keysOf(options.keys, formatOf(options.format));
      const started = await context.client.startCampaign(
        {
          device,
          space,
          protocol,
          samples: wholeNumber(options.samples, 'samples', 5),
          seed: wholeNumber(options.seed, 'seed', 0),
          profile: true,
        },
        context,
      );
      const { predictorId } = await followCampaign(started, context);
      terminal.note(
        `kept as ${predictorId}: the same measurements predict whole networks (hilda predictor eval ${predictorId})`,
      );
      await answerTable(context, predictorId, options);
    }),
  );

const exportTable = (terminal: Terminal): Command =>
  withTableOptions(
    new Command('export')
      .description('the table of a predictor that lut build made')
      .argument('<predictor>', 'as listed'),
  ).action(
    act(terminal, async (context, predictor: string, options: TableOptions) =>
      answerTable(context, predictor, options),
    ),
  );

interface ImportOptions {
  readonly format: string;
  readonly device: string;
  readonly space: string;
  readonly protocol: string;
}

const importTable = (terminal: Terminal): Command =>
  new Command('import')
    .description("keep a published table as a device's predictor, until its own networks are measured")
    .argument('<files...>', "one table; Once-for-all's come in a file a resolution")
    .requiredOption('-f, --format <name>', tableFormats.join(', '))
    .requiredOption('-d, --device <id>', 'which device the table is said to hold for')
    .requiredOption('-s, --space <name>', 'a space of profiles/spaces, of kind mbconv or ofa')
    .option('-p, --protocol <name>', 'how to measure when it is probed: quick, search or careful', 'search')
    .action(
      act(terminal, async (context, paths: string[], { format, device, space, protocol }: ImportOptions) => {
        const files = await Promise.all(
          paths.map(async (path) => ({
            name: basename(path),
            text: (await readInput(path)).toString('utf8'),
          })),
        );
        const predictor = await context.client.importTable(
          { files, format: formatOf(format), device, space, protocol },
          context,
        );
        context.answer('predictor', { predictor }, () => describePredictor(predictor));
      }),
    );

const check = (terminal: Terminal): Command =>
  new Command('check')
    .description('read a table in a published format; says what is wrong with it')
    .argument('<file>', 'the table')
    .requiredOption('-f, --format <name>', tableFormats.join(', '))
    .action(
      act(terminal, async (context, file: string, { format }: { readonly format: string }) => {
        const { table, ...about } = parseTable(
          (await readInput(file)).toString('utf8'),
          formatOf(format),
          file,
        );
        const means = [...table.values()].map(({ mean }) => mean);
        const range = { least: Math.min(...means), most: Math.max(...means) };
        context.answer(
          'lut-check',
          { ...about, entries: table.size, ...range },
          () =>
            `${table.size} entries, ${range.least.toPrecision(3)} to ${range.most.toPrecision(3)} ${about.unit}, ${about.provenance} from ${about.source}`,
        );
      }),
    );

export const lutCommand = (terminal: Terminal): Command =>
  new Command('lut')
    .description('latency tables: build from your own device, export, import, check')
    .addCommand(build(terminal))
    .addCommand(exportTable(terminal))
    .addCommand(importTable(terminal))
    .addCommand(check(terminal));
