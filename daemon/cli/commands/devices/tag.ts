import { Command } from 'commander';
import { act, type Terminal } from '../../context.js';
import { resolveId } from '../../resolve-id.js';

export const devicesTagCommand = (terminal: Terminal): Command =>
  new Command('tag')
    .description("replace a device's tags; none clears them")
    .argument('<device>', 'its id')
    .argument('[tags...]', 'for example shelf=2')
    .action(
      act(terminal, async (context, id: string, tags: readonly string[]) => {
        const device = await context.client.tag(await resolveId('device', id, context), tags, context);
        context.answer('device', { device }, () => `${device.id}: ${device.tags.join(', ') || 'no tags'}`);
      }),
    );
