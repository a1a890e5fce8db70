import { Command } from 'commander';
import { act, type Terminal } from '../context.js';

export const devicesAdoptCommand = (terminal: Terminal): Command =>
  new Command('adopt')
    .description('take a sighted device into use')
    .argument('<device>', 'its id')
    .action(
      act(terminal, async (context, id: string) => {
        const device = await context.client.adopt(id, context);
        context.answer('device', { device }, () => `${device.id} is ${device.state}`);
      }),
    );
