import { Command } from 'commander';
import { lazily, type Terminal } from '../context.js';
import { dataOption } from '../data-option.js';

export const checkCommand = (terminal: Terminal): Command =>
  new Command('check')
    .addOption(dataOption())
    .action(lazily(terminal, async () => (await import('../actions/upkeep.js')).checkFolder));
