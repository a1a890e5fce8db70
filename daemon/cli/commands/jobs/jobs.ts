import { Command } from 'commander';
import type { Terminal } from '../../context.js';
import { jobsActCommand } from './act.js';
import { jobsListCommand } from './list.js';
import { jobsShowCommand } from './show.js';

export const jobsCommand = (terminal: Terminal): Command =>
  new Command('jobs')
    .addCommand(jobsListCommand(terminal))
    .addCommand(jobsShowCommand(terminal))
    .addCommand(jobsActCommand(terminal, 'cancel'))
    .addCommand(jobsActCommand(terminal, 'retry'));
