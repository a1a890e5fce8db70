import { Command } from 'commander';
import { lazily, type Terminal } from '../context.js';

export const doctorCommand = (terminal: Terminal): Command =>
  new Command('doctor')
    .option('--udev', 'print the udev rules instead')
    .action(lazily(terminal, async () => (await import('../actions/doctor.js')).doctorAction));
