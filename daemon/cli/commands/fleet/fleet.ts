import { Command } from 'commander';
import { profilesDir } from '../../../process/installation.js';
import { lazily, type Terminal } from '../../context.js';

export const fleetCommand = (terminal: Terminal): Command =>
  new Command('fleet').addCommand(
    new Command('simulate')
      .description(
        'live through the days of a specification with virtual devices, in minutes; needs no daemon',
      )
      .argument('<spec>', 'a YAML or JSON file: docs/fleet.md')
      .option('--keep <folder>', 'the data folder, which must be new or empty: `hilda up --data` shows it')
      .option('--profiles <folder>', 'where spaces are looked up', profilesDir)
      .action(lazily(terminal, async () => (await import('../../actions/fleet.js')).simulateAction)),
  );
