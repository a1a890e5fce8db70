import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';
import { describeDevice } from '../../describe.js';
import { resolveId } from '../../resolve-id.js';

export const devicesShowCommand = (terminal: Terminal): Command =>
  new Command('show')
    .description('one device')
    .argument('<device>', 'its id')
    .action(
      act(terminal, async (context, id: string) => {
        const device = await context.client.device(await resolveId('device', id, context), context);
        context.answer('device', { device }, () => describeDevice(device, terminal));
      }),
    );
