import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';
import { resolveId } from '../../resolve-id.js';

export const devicesAdoptCommand = (terminal: Terminal): Command =>
  new Command('adopt')
    .description('take a sighted device into use')
    .argument('<device>', 'its id')
    .action(
      act(terminal, async (context, id: string) => {
        const device = await context.client.adopt(await resolveId('device', id, context), context);
        context.answer('device', { device }, () => `${device.id} is ${device.state}`);
      }),
    );
