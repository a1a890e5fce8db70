import { Command } from 'commander';
import { lazily, type Terminal } from '../../context.js';

export const searchSpecialiseCommand = (terminal: Terminal): Command =>
  new Command('specialise')
    .description('one search a device, then the best of all searches measured on every device')
    .argument('[spec]', 'a study specification; a metric such as cycles@DEVICE is for that device alone')
    .option('-d, --devices <ids>', "two or more, separated by commas; default the specification's")
    .option('-s, --slack <share>', 'accuracy given up for speed, as a share of 1', '0.01')
    .option('--finalists <count>', 'front members of each search that are measured on every device', '5')
    .option('-p, --protocol <name>', 'how the finalists are measured; default as in the searches')
    .option('--searches <studies>', 'studies of one of the devices each, taken in place of new searches')
    .option('--resume <id>', 'go on with one that was paused or failed, in place of a specification')
    .option('-o, --out <file>', 'where the matrix is written as JSON')
    .action(
      lazily(
        terminal,
        async () => (await import('../../actions/search/specialise.js')).searchSpecialiseAction,
      ),
    );
