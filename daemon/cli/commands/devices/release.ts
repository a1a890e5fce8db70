import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';
import { resolveId } from '../../resolve-id.js';

export const devicesReleaseCommand = (terminal: Terminal): Command =>
  new Command('release')
    .description('take a device in quarantine back into use')
    .argument('<device>', 'its id')
    .option('--relearn', 'forget what its references took before: its level changed for good')
    .action(
      act(terminal, async (context, id: string, { relearn = false }: { readonly relearn?: boolean }) => {
        const device = await context.client.release(await resolveId('device', id, context), relearn, context);
        context.answer('device', { device }, () => `${device.id} is ${device.state}`);
      }),
    );
