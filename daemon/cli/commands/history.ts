import { Command } from 'commander';
import { lazily, type Terminal } from '../context.js';

export const historyCommand = (terminal: Terminal): Command =>
  new Command('history')
    .argument('<measurement>', 'any measurement of the series, such as m41')
    .option(
      '-m, --metric <name>',
      'latencyUs, cycles, instructions, peakBytes, peakRamBytes or flashBytes',
      'latencyUs',
    )
    .action(lazily(terminal, async () => (await import('../actions/history.js')).historyAction));
