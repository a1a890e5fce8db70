import { Command } from 'commander';
import { lazily, type Terminal } from '../context.js';

export const openCommand = (terminal: Terminal): Command =>
  new Command('open')
    .option('--print', 'print the link alone, to open it yourself; good for ten minutes')
    .action(lazily(terminal, async () => (await import('../actions/open.js')).openAction));
