import { Command } from 'commander';
import { lazily, type Terminal } from '../context.js';

export const openCommand = (terminal: Terminal): Command =>
  new Command('open')
    .option('--print', 'print the link alone, to open it yourself; good for ten minutes')
    .option('--lan', 'print the links for other machines, of which one works, once')
    .action(lazily(terminal, async () => (await import('../actions/open.js')).openAction));
