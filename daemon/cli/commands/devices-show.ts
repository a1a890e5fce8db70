import { Command } from 'commander';
import { act, type Terminal } from '../context.js';
import { describeDevice } from '../describe.js';

export const devicesShowCommand = (terminal: Terminal): Command =>
  new Command('show')
    .description('one device')
    .argument('<device>', 'its id')
    .action(
      act(terminal, async (context, id: string) => {
        const device = await context.client.device(id, context);
        context.answer('device', { device }, () => describeDevice(device));
      }),
    );
