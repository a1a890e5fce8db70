import { Command } from 'commander';
import { lazily, type Terminal } from '../../context.js';

export const devicesHealthCommand = (terminal: Terminal): Command =>
  new Command('health')
    .description('how well devices do: references beside their limits, availability, failures')
    .argument('[device]', 'its id; all devices in use or in quarantine where it is left out')
    .option('--check', 'check it now; one that passes often enough leaves a quarantine that a rule began')
    .action(
      lazily(terminal, async () => (await import('../../actions/devices/health.js')).devicesHealthAction),
    );
