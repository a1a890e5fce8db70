import { Command } from 'commander';
import { lazily, type Terminal } from '../../context.js';

export const searchStartCommand = (terminal: Terminal): Command =>
  new Command('start')
    .description('start a study from its specification')
    .argument('<spec>', 'a YAML or JSON file')
    .option('-w, --wait', 'show progress until the study ends; exit code 1 unless it completes')
    .action(lazily(terminal, async () => (await import('../../actions/search/start.js')).searchStartAction));
