import { Command } from 'commander';
import { publishedSpaceNames } from '../../../search/spaces/published-space-names.js';
import { lazily, type Terminal } from '../../context.js';

export const predictorFitCsvCommand = (terminal: Terminal): Command =>
  new Command('fit-csv')
    .description('how well a predictor learns a table of measurements that you bring')
    .argument('<file>', 'CSV with a header line')
    .option('--columns <names>', 'what tells networks apart: NAME[:number|choice|digits], comma-separated')
    .option(
      '--space <name>',
      `a published space: ${publishedSpaceNames.join(' or ')}; --columns names its columns if they are called otherwise`,
    )
    .requiredOption('--metric <name>', 'the column to predict')
    .option('--train <count>', 'rows to learn from', '100')
    .option('--test <count>', 'rows to be asked about, at most', '5000')
    .option('--seed <number>', 'which rows', '1')
    .action(
      lazily(
        terminal,
        async () => (await import('../../actions/predictor/fit-csv.js')).predictorFitCsvAction,
      ),
    );
