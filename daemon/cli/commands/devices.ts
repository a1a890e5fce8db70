import { Command } from 'commander';
import type { Terminal } from '../context.js';
import { devicesAdoptCommand } from './devices-adopt.js';
import { devicesFlashCommand } from './devices-flash.js';
import { devicesListCommand } from './devices-list.js';
import { devicesShowCommand } from './devices-show.js';

export const devicesCommand = (terminal: Terminal): Command =>
  new Command('devices')
    .description('what networks can be measured on')
    .addCommand(devicesListCommand(terminal))
    .addCommand(devicesShowCommand(terminal))
    .addCommand(devicesAdoptCommand(terminal))
    .addCommand(devicesFlashCommand(terminal));
