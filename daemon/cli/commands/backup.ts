import { Command } from 'commander';
import { lazily, type Terminal } from '../context.js';
import { dataOption } from '../data-option.js';

export const backupCommand = (terminal: Terminal): Command =>
  new Command('backup')
    .argument('<folder>', 'a new one, for the copy')
    .addOption(dataOption())
    .action(lazily(terminal, async () => (await import('../actions/upkeep.js')).backUpData));
