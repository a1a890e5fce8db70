import { Command } from 'commander';
import { lazily, type Terminal } from '../context.js';
import { dataOption } from '../data-option.js';

export const restoreCommand = (terminal: Terminal): Command =>
  new Command('restore')
    .argument('<folder>', 'what `hilda backup` made')
    .addOption(dataOption())
    .action(lazily(terminal, async () => (await import('../actions/upkeep.js')).restoreData));
