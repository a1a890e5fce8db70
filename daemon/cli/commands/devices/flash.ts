import { Command } from 'commander';
import { lazily, type Terminal } from '../../context.js';

export const devicesFlashCommand = (terminal: Terminal): Command =>
  new Command('flash')
    .description("writes hilda's firmware to a board that is plugged into this machine")
    .argument('<board>', 'e.g. rp2040-pico')
    .option('-o, --out <file>', 'write the image to a file instead (.uf2 or .bin)')
    .action(
      lazily(terminal, async () => (await import('../../actions/devices/flash.js')).devicesFlashAction),
    );
