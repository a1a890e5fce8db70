import { Command } from 'commander';
import { tableFormats } from '../../predict/tables/format-names.js';
import { lazily, type Terminal } from '../context.js';

const withTableOptions = (command: Command): Command =>
  command
    .option('-f, --format <name>', `${tableFormats.join(', ')}`, 'hilda')
    .option('--keys <kind>', 'operators, blocks or layers (default: what the format holds)')
    .option('-o, --output <file>', 'where to write the table (default: standard output)');

const actions = () => import('../actions/lut.js');

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
  ).action(lazily(terminal, async () => (await actions()).buildAction));

const exportTable = (terminal: Terminal): Command =>
  withTableOptions(
    new Command('export')
      .description('the table of a predictor that lut build made')
      .argument('<predictor>', 'as listed'),
  ).action(lazily(terminal, async () => (await actions()).exportAction));

const importTable = (terminal: Terminal): Command =>
  new Command('import')
    .description("keep a published table as a device's predictor, until its own networks are measured")
    .argument('<files...>', "one table; Once-for-all's come in a file a resolution")
    .requiredOption('-f, --format <name>', tableFormats.join(', '))
    .requiredOption('-d, --device <id>', 'which device the table is said to hold for')
    .requiredOption('-s, --space <name>', 'a space of profiles/spaces, of kind mbconv or ofa')
    .option('-p, --protocol <name>', 'how to measure when it is probed: quick, search or careful', 'search')
    .action(lazily(terminal, async () => (await actions()).importAction));

const check = (terminal: Terminal): Command =>
  new Command('check')
    .description('read a table in a published format; says what is wrong with it')
    .argument('<file>', 'the table')
    .requiredOption('-f, --format <name>', tableFormats.join(', '))
    .action(lazily(terminal, async () => (await actions()).checkAction));

export const lutCommand = (terminal: Terminal): Command =>
  new Command('lut')
    .addCommand(build(terminal))
    .addCommand(exportTable(terminal))
    .addCommand(importTable(terminal))
    .addCommand(check(terminal));
