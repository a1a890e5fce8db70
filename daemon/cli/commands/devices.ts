import { Command } from 'commander';
import type { Terminal } from '../context.js';
import { devicesAdoptCommand } from './devices-adopt.js';
import { devicesCompareCommand } from './devices-compare.js';
import { devicesFlashCommand } from './devices-flash.js';
import { devicesListCommand } from './devices-list.js';
import { devicesPairCommand } from './devices-pair.js';
import { devicesRevokeCommand } from './devices-revoke.js';
import { devicesSetAsideCommand } from './devices-set-aside.js';
import { devicesShowCommand } from './devices-show.js';
import { devicesTagCommand } from './devices-tag.js';
import { devicesTestLineCommand } from './devices-test-line.js';

export const devicesCommand = (terminal: Terminal): Command =>
  new Command('devices')
    .addCommand(devicesListCommand(terminal))
    .addCommand(devicesShowCommand(terminal))
    .addCommand(devicesPairCommand(terminal))
    .addCommand(devicesRevokeCommand(terminal))
    .addCommand(devicesAdoptCommand(terminal))
    .addCommand(devicesSetAsideCommand(terminal, 'ignore'))
    .addCommand(devicesSetAsideCommand(terminal, 'quarantine'))
    .addCommand(devicesTagCommand(terminal))
    .addCommand(devicesCompareCommand(terminal))
    .addCommand(devicesFlashCommand(terminal))
    .addCommand(devicesTestLineCommand(terminal));
