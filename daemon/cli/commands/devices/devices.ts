import { Command } from 'commander';
import type { Terminal } from '../../context.js';
import { devicesAdoptCommand } from './adopt.js';
import { devicesCompareCommand } from './compare.js';
import { devicesFlashCommand } from './flash.js';
import { devicesHealthCommand } from './health.js';
import { devicesListCommand } from './list.js';
import { devicesPairCommand } from './pair.js';
import { devicesReleaseCommand } from './release.js';
import { devicesRevokeCommand } from './revoke.js';
import { devicesSetAsideCommand } from './set-aside.js';
import { devicesShowCommand } from './show.js';
import { devicesTagCommand } from './tag.js';
import { devicesTestLineCommand } from './test-line.js';

export const devicesCommand = (terminal: Terminal): Command =>
  new Command('devices')
    .addCommand(devicesListCommand(terminal))
    .addCommand(devicesShowCommand(terminal))
    .addCommand(devicesPairCommand(terminal))
    .addCommand(devicesRevokeCommand(terminal))
    .addCommand(devicesAdoptCommand(terminal))
    .addCommand(devicesSetAsideCommand(terminal, 'ignore'))
    .addCommand(devicesSetAsideCommand(terminal, 'quarantine'))
    .addCommand(devicesReleaseCommand(terminal))
    .addCommand(devicesHealthCommand(terminal))
    .addCommand(devicesTagCommand(terminal))
    .addCommand(devicesCompareCommand(terminal))
    .addCommand(devicesFlashCommand(terminal))
    .addCommand(devicesTestLineCommand(terminal));
